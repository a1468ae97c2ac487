// One rule of an AuthorizationPolicy, compiled: its clauses with their values in a form in which a
// compare allocates nothing.
#pragma once

#include <array>
#include <compare>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "authz/cidr_map.h"
#include "authz/clauses.h"
#include "authz/facts.h"
#include "authz/glob_map.h"
#include "authz/patterns.h"

namespace sallyport::authz {

// What values mean depends on it.
struct ValueContext {
  std::string trust_domain;  // the mesh's
  bool raw_paths = false;    // the mesh does not normalise paths
  std::string policy_ns;
};

// The facts of one question, with what is worked out once.
struct Subject {
  const ConnectionFacts& connection;
  const RequestFacts* request;
  Peer peer;
  HostParts host;
  LooseReading loose;  // of the path

  Subject(const ConnectionFacts& c, const RequestFacts* r) : connection(c), request(r) {
    if (!c.principal.empty()) peer = parse_peer(c.principal);
    if (r == nullptr) return;
    host = split_host(r->host);
    loose = read_loosely(r->path, room_);
  }
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;
  [[nodiscard]] const Ip& remote_ip() const {
    return request != nullptr ? request->remote_ip : connection.source_ip;
  }

 private:
  std::array<char, kLooseRoom> room_;  // not initialised: only written where a path is odd
};

// The spellings of a host that count where a rule restricts; visit(text) until one answers true.
template <class Visit>
bool any_host_spelling(const Subject& subject, Visit&& visit) {
  const HostParts& parts = subject.host;
  if (visit(FoldedText{subject.request->host, {}})) return true;
  const bool port = !parts.port.empty(), dot = parts.name.size() != parts.with_dot.size();
  return (port && visit(FoldedText{parts.with_dot, {}})) ||
         (dot && visit(FoldedText{parts.name, {}})) ||
         (port && dot && visit(FoldedText{parts.name, parts.port}));
}

// A value of `ports` that has been checked.
[[nodiscard]] uint16_t port_of(std::string_view value);

// One value as a key to look up by: a glob, or an address block, or a port. Null where the value is
// none of these (a namespace with stars inside, request principals).
struct Key {
  Field field = Field::kPrincipal;
  GlobKind kind = GlobKind::kExact;
  std::string text;
  auto operator<=>(const Key&) const = default;
};
std::optional<Key> key_of(Field field, const std::string& value, const ValueContext& context);

class ValueSet {
 public:
  ValueSet(Field field, const std::vector<std::string>& values, const ValueContext& context);
  [[nodiscard]] bool matches(std::string_view text) const;
  [[nodiscard]] bool matches(const FoldedText& text) const;
  [[nodiscard]] bool matches(const Ip& ip) const { return blocks_ && blocks_->matches(ip); }
  [[nodiscard]] bool matches(uint16_t port) const;
  [[nodiscard]] bool matches_request_principal(std::string_view iss, std::string_view sub) const;

 private:
  struct OwnedGlob {
    GlobKind kind;
    std::string text;
  };
  template <class Text>
  [[nodiscard]] bool few_match(const Text& text) const;

  // Up to kFew globs are compared one by one, more are looked up.
  static constexpr size_t kFew = 8;
  std::vector<OwnedGlob> few_;
  std::unique_ptr<GlobMap> many_;
  std::vector<PathTemplate> templates_;
  std::vector<std::string> texts_;  // namespaces with stars inside, request principals
  std::vector<uint16_t> ports_;
  std::unique_ptr<CidrMap> blocks_;
};

class CompiledClause {
 public:
  CompiledClause(const Clause& clause, bool restricts, const ValueContext& context);
  [[nodiscard]] bool holds(const Subject& subject) const;

 private:
  [[nodiscard]] bool any(const Subject& subject, const ValueSet& values, bool wide) const;
  [[nodiscard]] bool any_of_request(const Subject& subject, const ValueSet& values,
                                    bool wide) const;
  Field field_;
  bool restricts_;
  std::string header_;
  std::vector<std::string> claim_;
  std::unique_ptr<const ValueSet> yes_, no_;
};

class CompiledRule {
 public:
  CompiledRule(const RuleClauses& rule, bool restricts, const ValueContext& context);
  [[nodiscard]] bool matches(const Subject& subject) const;

 private:
  using All = std::vector<CompiledClause>;
  std::vector<All> from_, to_;
  All when_;
};

}  // namespace sallyport::authz
