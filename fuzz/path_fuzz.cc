// links: authz
// Canonical paths. Byte 0: bits 0-1 the mode, bit 2 escaped slashes allowed; the rest is the
// target.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "authz/path.h"

namespace {

using namespace sallyport;
using namespace sallyport::authz;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "path_fuzz: %s\n", what);
  std::abort();
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// No segment, by any slash that an application may see, is a dot or two, with parameters or
// without.
void check_segments(std::string_view path) {
  std::string plain;
  for (size_t i = 0; i < path.size(); ++i) {
    const std::string_view escape = path.substr(i, 3);
    const bool slash = escape == "%2F" || escape == "%5C";
    if (slash || escape == "%3B") i += 2;
    plain += slash ? '/' : escape == "%3B" ? ';' : path[i];
  }
  plain += '/';
  size_t begin = 0;
  for (size_t end; (end = plain.find('/', begin)) != std::string::npos; begin = end + 1) {
    const std::string_view segment = std::string_view(plain).substr(begin, end - begin);
    const std::string_view name = segment.substr(0, segment.find(';'));
    check(name != "." && name != "..", "a segment of dots was left");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  PathOptions options;
  options.mode = static_cast<k8s::PathNormalization>(data[0] & 3);
  options.allow_escaped_slashes = (data[0] & 4) != 0;
  // A copy of its own: a read past the end is seen.
  const std::string target(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string once, twice;
  size_t length = 0, again = 0;
  if (!canonicalize(target, options, once, length)) return 0;
  check(length <= once.size(), "the path is longer than the whole");
  const std::string_view path = std::string_view(once).substr(0, length);
  check(path.starts_with('/'), "a path without a slash at its front");
  check(once.size() <= target.size(), "longer than what was sent");
  for (char each : path) {
    const auto c = static_cast<unsigned char>(each);
    check(c > 0x20 && c < 0x7F && c != '?' && c != '#', "a byte that no path may have");
  }
  check(std::string_view(once).substr(length) ==
            std::string_view(target).substr(std::min(target.find('?'), target.size())),
        "the query was changed");
  check(canonicalize(once, options, twice, again).has_value(), "a canonical path was refused");
  check(once == twice && length == again, "a canonical path was changed");
  if (options.mode == k8s::PathNormalization::kNone) return 0;
  check(!has(path, "\\"), "a backslash was left");
  check_segments(path);
  if (options.mode != k8s::PathNormalization::kBase)
    check(!has(path, "//"), "two slashes were left");
  if (options.mode == k8s::PathNormalization::kDecodeAndMergeSlashes ||
      !options.allow_escaped_slashes)
    check(!has(path, "%2F") && !has(path, "%5C"), "an escaped slash was left");
  return 0;
}
