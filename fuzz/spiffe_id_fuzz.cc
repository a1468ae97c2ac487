// links: identity
// Texts to SPIFFE IDs: what is accepted is written as it was read, and has no byte that a log, a
// header or a policy could misread.
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "identity/spiffe_id.h"

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport::identity;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto id = parse_spiffe_id(text);
  if (!id) {
    check(!id.error().message.empty());
    return 0;
  }
  check(id->to_string() == text && size <= 2048);
  check(check_trust_domain(id->trust_domain).has_value());
  check(id->path.size() >= 2 && id->path.front() == '/' && id->path.back() != '/');
  for (const char c : text.substr(9))
    check(std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_' ||
          c == '/');
  const std::string path = id->path + "/";
  for (const char* bad : {"//", "/./", "/../"}) check(path.find(bad) == std::string::npos);
  return 0;
}
