// How single values of an AuthorizationPolicy compare with what a request says. All compares are of
// bytes, none is a regular expression, and each takes time linear in the text (namespace globs: in
// the text times the number of their parts).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sallyport::authz {

// What a `*` in a value means: `*` alone any text that is not empty, at the front a suffix, at the
// end a prefix. Anywhere else it is an ordinary byte, also in a value that begins with one.
enum class GlobKind : uint8_t { kExact, kPrefix, kSuffix, kPresent };
struct Glob {
  GlobKind kind = GlobKind::kExact;
  std::string_view text;  // without the `*`
};
[[nodiscard]] Glob parse_glob(std::string_view value);
[[nodiscard]] bool glob_matches(std::string_view value, std::string_view text);

// Fields `namespaces` and `source.namespace`: each `*` is any run of bytes, also an empty one. It
// is compared with the namespace of the identity alone: Istio's expression, compared with the whole
// identity, lets "*sa" match every namespace, because "/sa/" follows each.
[[nodiscard]] bool namespace_matches(std::string_view value, std::string_view ns);

// A path with the operators {*} (one segment, not empty) and {**} (anything, also nothing and with
// slashes; the last operator of its template).
class PathTemplate {
 public:
  [[nodiscard]] static bool is_template(std::string_view value);
  // kInvalid: why Istio refuses it, or that it does not begin with a slash (it could never match).
  static Result<PathTemplate> parse(std::string_view value);
  [[nodiscard]] bool matches(std::string_view path) const;
  // What every path that matches begins with: the text before the first operator.
  [[nodiscard]] const std::string& literal_prefix() const { return parts_.front(); }

 private:
  // parts_[0] {*} parts_[1] {*} ... parts_[n] [{**} tail_]
  std::vector<std::string> parts_;
  bool rest_ = false;  // has {**}
  std::string tail_;
};

// A value of `paths` in the spelling that canonical paths have (path.h), so that a policy written
// with %2f, with an escape of an ordinary letter or with a letter beyond ASCII means the path that
// it names. Where the mesh does not normalise paths, values stay as written.
[[nodiscard]] std::string canonical_path_value(std::string_view value);

// A path as a careless application may read it: every escape decoded, the parameters of each
// segment
// (";x") dropped, slashes merged. What restricts compares with this reading too, so that neither
// "/admin;x" nor "/v1%3Aadmin" gets around a denial. Empty: it reads as it stands.
struct LooseReading {
  std::string_view text;  // in the caller's room, or empty
  bool too_long = false;  // there was no room: what restricts counts it as a match
};
constexpr size_t kLooseRoom = 4096;
[[nodiscard]] LooseReading read_loosely(std::string_view path, std::span<char, kLooseRoom> room);

// The parts of a verified SPIFFE ID without scheme, "TD/ns/NS/sa/SA". Another form has only its
// trust domain.
struct Peer {
  std::string_view trust_domain;
  std::string_view ns;
  std::string_view account;  // "NS/sa/SA"
};
[[nodiscard]] Peer parse_peer(std::string_view principal);
// "NS/sa/SA" of a value of `serviceAccounts`: "ns/sa", or "sa" in the namespace of the policy.
[[nodiscard]] std::string account_of(std::string_view value, std::string_view policy_ns);
// `cluster.local` in a principal of five parts points to the mesh's own trust domain.
[[nodiscard]] std::string own_trust_domain(std::string_view principal, std::string_view mesh);

// A host as sent, in parts: the name without its port and without one trailing dot, and the port
// with its colon (empty: none). "[::1]:80" keeps its brackets.
struct HostParts {
  std::string_view with_dot;  // without port, a trailing dot kept
  std::string_view name;      // without port and trailing dot
  std::string_view port;      // ":80"
};
[[nodiscard]] HostParts split_host(std::string_view host);

// A value of `requestPrincipals`, split at its last slash as Istio does. Both claims must be there
// and not empty in every form.
struct RequestPrincipalPattern {
  Glob issuer;
  Glob subject;
  [[nodiscard]] bool matches(std::string_view iss, std::string_view sub) const;
};
[[nodiscard]] RequestPrincipalPattern parse_request_principal(std::string_view value);

[[nodiscard]] inline char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}
[[nodiscard]] std::string lower(std::string_view text);

}  // namespace sallyport::authz
