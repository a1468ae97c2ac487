// nftables by the program nft: one script is one transaction of the kernel, all or nothing.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace sallyport::net {

// Applies a script (the language of nft -f) inside the namespace. The error holds nft's own words.
Status apply_nft(int netns_fd, std::string_view script);

// What `nft ARGUMENT` prints there, e.g. "list ruleset" (words apart by single blanks). kNotFound
// where a named object is missing.
Result<std::string> query_nft(int netns_fd, const std::string& argument);

}  // namespace sallyport::net
