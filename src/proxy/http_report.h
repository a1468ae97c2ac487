// What is told of HTTP: metrics, flow records, access log lines.
#pragma once

#include <string_view>

#include "proxy/http_exchange.h"

namespace sallyport::proxy {

void report(Exchange& exchange);

// A connection whose bytes were no HTTP, or too much of it.
void tell_violation(HttpSession& session, http::Counter what, uint16_t status);
// A connection that is cut because what it is, is no longer allowed.
void tell_cut(HttpSession& session, std::string_view why, std::string_view policy);

}  // namespace sallyport::proxy
