#include "authz/compiled_rule.h"

#include <algorithm>

#include "authz/claims.h"
#include "base/strings.h"

namespace sallyport::authz {
namespace {

Key glob_key(Field field, std::string_view value) {
  const Glob glob = parse_glob(value);
  return {field, glob.kind, std::string(glob.text)};
}

std::optional<Key> namespace_key(const std::string& value) {
  const auto stars = std::count(value.begin(), value.end(), '*');
  // Without a star or with one at an end, it is an ordinary glob.
  if (stars == 0 || (stars == 1 && (value.front() == '*' || value.back() == '*')))
    return glob_key(Field::kNamespace, value);
  return std::nullopt;
}

Key path_key(const std::string& written, const ValueContext& context) {
  const std::string value = context.raw_paths ? written : canonical_path_value(written);
  if (PathTemplate::is_template(value))
    return {Field::kPath, GlobKind::kPrefix, PathTemplate::parse(value).value().literal_prefix()};
  return glob_key(Field::kPath, value);
}

// A header field of that name; names of facts are lower case, but nothing depends on it.
bool same_name(std::string_view sent, std::string_view name) {
  return sent.size() == name.size() && std::equal(sent.begin(), sent.end(), name.begin(),
                                                  [](char a, char b) { return lower(a) == b; });
}

template <class Text>
bool glob_holds(GlobKind kind, std::string_view glob, const Text& text) {
  if (text.size() < glob.size()) return false;
  if (kind == GlobKind::kPresent) return text.size() > 0;
  if (kind == GlobKind::kExact && text.size() != glob.size()) return false;
  const size_t from = kind == GlobKind::kSuffix ? text.size() - glob.size() : 0;
  for (size_t i = 0; i < glob.size(); ++i)
    if (text[from + i] != glob[i]) return false;
  return true;
}

}  // namespace

uint16_t port_of(std::string_view value) {
  return parse_number<uint16_t>(value).value_or(0);
}

std::optional<Key> key_of(Field field, const std::string& value, const ValueContext& context) {
  if (is_address(field)) return Key{field, GlobKind::kExact, block_of(value).to_string()};
  switch (field) {
    case Field::kPrincipal:
      return glob_key(field, own_trust_domain(value, context.trust_domain));
    case Field::kTrustDomain:
      return glob_key(field, value == "cluster.local" ? context.trust_domain : value);
    case Field::kNamespace:
      return namespace_key(value);
    case Field::kServiceAccount:
      return Key{field, GlobKind::kExact, account_of(value, context.policy_ns)};
    case Field::kRequestPrincipal:
      return std::nullopt;
    case Field::kHost:
      return glob_key(field, lower(value));
    case Field::kPort:
      return Key{field, GlobKind::kExact, std::to_string(port_of(value))};
    case Field::kPath:
      return path_key(value, context);
    default:
      return glob_key(field, value);
  }
}

ValueSet::ValueSet(Field field, const std::vector<std::string>& values,
                   const ValueContext& context) {
  std::vector<OwnedGlob> globs;
  for (const std::string& value : values) {
    if (is_address(field)) {
      if (blocks_ == nullptr) blocks_ = std::make_unique<CidrMap>();
      blocks_->add(block_of(value));
      continue;
    }
    if (field == Field::kPort) {
      ports_.push_back(port_of(value));
      continue;
    }
    if (field == Field::kPath && PathTemplate::is_template(value)) {
      const std::string path = context.raw_paths ? value : canonical_path_value(value);
      templates_.push_back(PathTemplate::parse(path).value());
      continue;
    }
    auto key = key_of(field, value, context);
    if (key)
      globs.push_back({key->kind, std::move(key->text)});
    else
      texts_.push_back(value);
  }
  std::sort(ports_.begin(), ports_.end());
  if (globs.size() <= kFew) {
    few_ = std::move(globs);
    return;
  }
  many_ = std::make_unique<GlobMap>();
  for (const OwnedGlob& glob : globs) many_->add({glob.kind, glob.text});
}

template <class Text>
bool ValueSet::few_match(const Text& text) const {
  return std::any_of(few_.begin(), few_.end(),
                     [&](const OwnedGlob& glob) { return glob_holds(glob.kind, glob.text, text); });
}

bool ValueSet::matches(std::string_view text) const {
  if (text.empty()) return false;
  if (many_ != nullptr ? many_->matches(PlainText{text}) : few_match(PlainText{text})) return true;
  if (std::any_of(templates_.begin(), templates_.end(),
                  [&](const PathTemplate& path) { return path.matches(text); }))
    return true;
  return std::any_of(texts_.begin(), texts_.end(),
                     [&](const std::string& value) { return namespace_matches(value, text); });
}

bool ValueSet::matches(const FoldedText& text) const {
  if (text.size() == 0) return false;
  return many_ != nullptr ? many_->matches(text) : few_match(text);
}

bool ValueSet::matches(uint16_t port) const {
  return std::binary_search(ports_.begin(), ports_.end(), port);
}

bool ValueSet::matches_request_principal(std::string_view iss, std::string_view sub) const {
  return std::any_of(texts_.begin(), texts_.end(), [&](const std::string& value) {
    return parse_request_principal(value).matches(iss, sub);
  });
}

CompiledClause::CompiledClause(const Clause& clause, bool restricts, const ValueContext& context)
    : field_(clause.field), restricts_(restricts), header_(clause.header), claim_(clause.claim) {
  if (field_ == Field::kAudience) claim_ = {"aud"};
  if (field_ == Field::kPresenter) claim_ = {"azp"};
  const k8s::MatchValues& match = *clause.match;
  if (!match.values.empty()) yes_ = std::make_unique<const ValueSet>(field_, match.values, context);
  if (!match.not_values.empty())
    no_ = std::make_unique<const ValueSet>(field_, match.not_values, context);
}

bool CompiledClause::holds(const Subject& subject) const {
  if (yes_ != nullptr && !any(subject, *yes_, restricts_)) return false;
  return no_ == nullptr || !any(subject, *no_, !restricts_);
}

bool CompiledClause::any(const Subject& subject, const ValueSet& values, bool wide) const {
  const ConnectionFacts& connection = subject.connection;
  switch (field_) {
    case Field::kPrincipal:
      return values.matches(connection.principal);
    case Field::kNamespace:
      return values.matches(subject.peer.ns);
    case Field::kServiceAccount:
      return values.matches(subject.peer.account);
    case Field::kTrustDomain:
      return values.matches(subject.peer.trust_domain);
    case Field::kSourceIp:
      return values.matches(connection.source_ip);
    case Field::kRemoteIp:
      return values.matches(subject.remote_ip());
    case Field::kDestinationIp:
      return values.matches(connection.destination_ip);
    case Field::kPort:
      return values.matches(connection.destination_port);
    case Field::kSni:
      return values.matches(connection.sni);
    default:
      return subject.request != nullptr && any_of_request(subject, values, wide);
  }
}

bool CompiledClause::any_of_request(const Subject& subject, const ValueSet& values,
                                    bool wide) const {
  const RequestFacts& request = *subject.request;
  switch (field_) {
    case Field::kRequestPrincipal: {
      const auto [iss, sub] = issuer_and_subject(request);
      return values.matches_request_principal(iss, sub);
    }
    case Field::kHost:
      if (!wide) return values.matches(FoldedText{request.host, {}});
      return any_host_spelling(subject,
                               [&](const FoldedText& text) { return values.matches(text); });
    case Field::kMethod:
      return values.matches(request.method);
    case Field::kPath:
      return values.matches(request.path) ||
             (wide && (subject.loose.too_long || values.matches(subject.loose.text)));
    case Field::kTarget:
      return values.matches(request.target.empty() ? request.path : request.target);
    case Field::kHeader: {
      bool seen = false;
      for (const HeaderField& field : request.headers) {
        if (!same_name(field.name, header_)) continue;
        seen = true;
        if (values.matches(field.value) == wide) return wide;
      }
      return seen && !wide;
    }
    default:
      return any_claim_text(request, claim_,
                            [&](std::string_view text) { return values.matches(text); });
  }
}

CompiledRule::CompiledRule(const RuleClauses& rule, bool restricts, const ValueContext& context) {
  auto compile_all = [&](const Clauses& clauses) {
    All out;
    for (const Clause& clause : clauses) out.emplace_back(clause, restricts, context);
    return out;
  };
  for (const Clauses& clauses : rule.from) from_.push_back(compile_all(clauses));
  for (const Clauses& clauses : rule.to) to_.push_back(compile_all(clauses));
  when_ = compile_all(rule.when);
}

bool CompiledRule::matches(const Subject& subject) const {
  auto all = [&](const All& clauses) {
    return std::all_of(clauses.begin(), clauses.end(),
                       [&](const CompiledClause& clause) { return clause.holds(subject); });
  };
  auto any = [&](const std::vector<All>& alternatives) {
    return alternatives.empty() || std::any_of(alternatives.begin(), alternatives.end(), all);
  };
  return any(to_) && any(from_) && all(when_);
}

}  // namespace sallyport::authz
