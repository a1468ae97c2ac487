// Heads of HTTP/1 (RFC 9112), read strictly: whatever two parsers could read in two ways is
// refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "http/buffer.h"
#include "http/limits.h"
#include "http/message.h"

namespace sallyport::http::h1 {

// What is wrong, and the status that answers it (of a response: what a gateway would answer).
struct Violation {
  Counter what;
  uint16_t status;
};

// Looks for the end of a head without reading any byte twice over several calls.
class HeadFinder {
 public:
  // The length of the head with its empty line; 0: it is not complete. `violation` is set for a
  // line end without CR and for a head longer than `limit`.
  size_t find(Bytes bytes, size_t limit, std::optional<Violation>& violation);
  void reset() { scanned_ = 0; }

 private:
  size_t scanned_ = 0;
};

// How a message is framed, beside its head.
struct Framing {
  bool chunked = false;
  bool until_close = false;  // responses
  bool keep_alive = true;
};

// `text` is a whole head with its empty line. The head is cleared first.
std::optional<Violation> parse_request(std::string_view text, const Limits& limits,
                                       std::string_view scheme, RequestHead& head,
                                       Framing& framing);
struct ResponseContext {
  bool head_request = false;  // answers HEAD: no body, whatever the head says
  bool upgrade = false;       // 101 was asked for
};
std::optional<Violation> parse_response(std::string_view text, const Limits& limits,
                                        ResponseContext context, ResponseHead& head,
                                        Framing& framing);
// The trailer section: field lines and the empty line. Fields that may not be trailers are dropped.
std::optional<Violation> parse_trailers(std::string_view text, const Limits& limits,
                                        HeaderList& trailers);

}  // namespace sallyport::http::h1
