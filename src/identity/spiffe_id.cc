#include "identity/spiffe_id.h"

#include <algorithm>

namespace sallyport::identity {
namespace {

constexpr size_t kMaxId = 2048;          // SPIFFE-ID.md section 2.3
constexpr size_t kMaxTrustDomain = 255;  // section 2.1
constexpr std::string_view kScheme = "spiffe://";

bool is_trust_domain_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

bool is_segment_char(char c) {
  return is_trust_domain_char(c) || (c >= 'A' && c <= 'Z');
}

// A byte as a person can read it in a message.
std::string show(char c) {
  const auto byte = static_cast<unsigned char>(c);
  if (byte > 0x20 && byte < 0x7f) return std::string("'") + c + "'";
  constexpr char kDigits[] = "0123456789abcdef";
  return std::string("byte 0x") + kDigits[byte >> 4] + kDigits[byte & 15];
}

Status check_path(std::string_view path) {
  if (path.empty()) return fail(Code::kInvalid, "SPIFFE ID names a trust domain, not a workload");
  size_t at = 0;
  while (at < path.size()) {
    ++at;  // the slash
    const size_t end = std::min(path.find('/', at), path.size());
    const std::string_view segment = path.substr(at, end - at);
    if (segment.empty()) return fail(Code::kInvalid, "SPIFFE ID has an empty path segment");
    if (segment == "." || segment == "..")
      return fail(Code::kInvalid,
                  "SPIFFE ID has the path segment \"" + std::string(segment) + "\"");
    const auto bad = std::find_if_not(segment.begin(), segment.end(), is_segment_char);
    if (bad != segment.end())
      return fail(Code::kInvalid, "SPIFFE ID has " + show(*bad) + " in its path");
    at = end;
  }
  return {};
}

}  // namespace

Status check_trust_domain(std::string_view trust_domain) {
  if (trust_domain.empty()) return fail(Code::kInvalid, "the trust domain is empty");
  if (trust_domain.size() > kMaxTrustDomain)
    return fail(Code::kInvalid, "the trust domain is longer than 255 bytes");
  const auto bad = std::find_if_not(trust_domain.begin(), trust_domain.end(), is_trust_domain_char);
  if (bad != trust_domain.end())
    return fail(Code::kInvalid, "the trust domain has " + show(*bad) +
                                    "; lower-case letters, digits, '.', '-' and '_' are allowed");
  return {};
}

Result<SpiffeId> parse_spiffe_id(std::string_view text) {
  if (text.size() > kMaxId) return fail(Code::kInvalid, "SPIFFE ID is longer than 2048 bytes");
  if (!text.starts_with(kScheme))
    return fail(Code::kInvalid, "SPIFFE ID does not start with \"spiffe://\"");
  text.remove_prefix(kScheme.size());
  const size_t slash = std::min(text.find('/'), text.size());
  const std::string_view trust_domain = text.substr(0, slash), path = text.substr(slash);
  if (auto status = check_trust_domain(trust_domain); !status)
    return fail_in("SPIFFE ID", std::move(status).error());
  SP_CHECK_OK(check_path(path));
  return SpiffeId{std::string(trust_domain), std::string(path)};
}

SpiffeId workload_id(std::string_view trust_domain, std::string_view ns,
                     std::string_view service_account) {
  std::string path = "/ns/";
  path += ns;
  path += "/sa/";
  path += service_account;
  return {std::string(trust_domain), std::move(path)};
}

}  // namespace sallyport::identity
