// Claims of a verified token as the strings that a policy compares. Numbers and booleans are never
// compared (as in Istio); a list counts by those of its items that are strings.
#pragma once

#include <string_view>

#include "authz/facts.h"

namespace sallyport::authz {

// The string claim of that name, or empty.
[[nodiscard]] inline std::string_view text_claim(const RequestFacts& request,
                                                 std::string_view name) {
  const codec::Value* found = request.claims == nullptr ? nullptr : request.claims->find(name);
  return found != nullptr && found->is_string() ? std::string_view(found->as_string())
                                                : std::string_view();
}

struct IssuerAndSubject {
  std::string_view issuer;
  std::string_view subject;
};
// From the claims, because a subject may contain slashes; where there are none, from the request
// principal, split at its last slash.
[[nodiscard]] inline IssuerAndSubject issuer_and_subject(const RequestFacts& request) {
  if (request.claims != nullptr) return {text_claim(request, "iss"), text_claim(request, "sub")};
  const size_t slash = request.request_principal.rfind('/');
  if (slash == std::string_view::npos) return {};
  return {request.request_principal.substr(0, slash), request.request_principal.substr(slash + 1)};
}

[[nodiscard]] inline bool is_space_delimited(const RequestFacts& request, std::string_view name) {
  if (name == "scope" || name == "permission") return true;
  for (std::string_view other : request.space_delimited_claims)
    if (other == name) return true;
  return false;
}

// Calls visit(text) for each string of the claim at `path` (a range of names, outermost first)
// until one answers true; whether one did.
template <class Path, class Visit>
[[nodiscard]] bool any_claim_text(const RequestFacts& request, const Path& path, Visit&& visit) {
  const codec::Value* at = request.claims;
  for (const auto& name : path) {
    if (at == nullptr || !at->is_map()) return false;
    at = at->find(name);
  }
  if (at == nullptr) return false;
  if (at->is_list()) {
    for (const codec::Value& item : at->items())
      if (item.is_string() && visit(std::string_view(item.as_string()))) return true;
    return false;
  }
  if (!at->is_string()) return false;
  std::string_view text = at->as_string();
  if (path.size() != 1 || !is_space_delimited(request, *path.begin())) return visit(text);
  while (!text.empty()) {
    const size_t space = text.find(' ');
    const std::string_view word = text.substr(0, space);
    if (!word.empty() && visit(word)) return true;
    if (space == std::string_view::npos) break;
    text.remove_prefix(space + 1);
  }
  return false;
}

}  // namespace sallyport::authz
