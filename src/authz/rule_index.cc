#include "authz/rule_index.h"

#include <algorithm>
#include <optional>

namespace sallyport::authz {
namespace {

using Keys = std::vector<Key>;
using Counts = std::map<Key, size_t>;

bool is_indexed(Field field) {
  switch (field) {
    case Field::kPrincipal:
    case Field::kNamespace:
    case Field::kServiceAccount:
    case Field::kSourceIp:
    case Field::kPort:
    case Field::kMethod:
    case Field::kPath:
    case Field::kHost:
      return true;
    default:
      return false;
  }
}

// The keys of which one is hit where the clause holds; nothing where it has no such keys.
std::optional<Keys> keys_of(const Clause& clause, const ValueContext& context) {
  if (!is_indexed(clause.field) || clause.match->values.empty()) return std::nullopt;
  Keys out;
  for (const std::string& value : clause.match->values) {
    auto key = key_of(clause.field, value, context);
    if (!key) return std::nullopt;
    out.push_back(std::move(*key));
  }
  return out;
}

template <class Visit>
void each_clause(const RuleClauses& rule, Visit&& visit) {
  for (const auto* side : {&rule.from, &rule.to})
    for (const Clauses& clauses : *side)
      for (const Clause& clause : clauses) visit(clause);
  for (const Clause& clause : rule.when) visit(clause);
}

class Chooser {
 public:
  explicit Chooser(const std::vector<RuleIndex::Entry>& rules) : total_(rules.size()) {
    for (const auto& [rule, context] : rules)
      each_clause(*rule, [&](const Clause& clause) {
        if (auto keys = keys_of(clause, *context))
          for (const Key& key : *keys) ++counts_[key];
      });
  }

  // The keys to file the rule under: the part whose keys the fewest rules share.
  [[nodiscard]] std::optional<Keys> choose(const RuleIndex::Entry& entry) const {
    Option best;
    consider(best, cover(entry.rule->from, *entry.context));
    consider(best, cover(entry.rule->to, *entry.context));
    for (const Clause& clause : entry.rule->when)
      consider(best, option(keys_of(clause, *entry.context)));
    return best.keys;
  }

 private:
  struct Option {
    std::optional<Keys> keys;
    size_t cost = SIZE_MAX;
  };

  static void consider(Option& best, Option other) {
    if (other.keys && other.cost < best.cost) best = std::move(other);
  }

  [[nodiscard]] Option option(std::optional<Keys> keys) const {
    if (!keys) return {};
    size_t cost = 0;
    for (const Key& key : *keys) cost += key.kind == GlobKind::kPresent ? total_ : counts_.at(key);
    return {std::move(keys), cost};
  }

  // Each alternative by its best clause.
  [[nodiscard]] Option cover(const std::vector<Clauses>& alternatives,
                             const ValueContext& context) const {
    if (alternatives.empty()) return {};
    Option out{Keys{}, 0};
    for (const Clauses& clauses : alternatives) {
      Option best;
      for (const Clause& clause : clauses) consider(best, option(keys_of(clause, context)));
      if (!best.keys) return {};
      out.cost += best.cost;
      out.keys->insert(out.keys->end(), best.keys->begin(), best.keys->end());
    }
    return out;
  }

  size_t total_;
  Counts counts_;
};

}  // namespace

RuleIndex::RuleIndex(const std::vector<Entry>& rules) {
  const Chooser chooser(rules);
  for (uint32_t id = 0; id < rules.size(); ++id) {
    const auto keys = chooser.choose(rules[id]);
    if (!keys) {
      rest_.push_back(id);
      continue;
    }
    for (const Key& key : *keys) file(key, id);
  }
}

void RuleIndex::file(const Key& key, uint32_t id) {
  const Glob glob{key.kind, key.text};
  switch (key.field) {
    case Field::kPrincipal:
      principals_.add(glob, id);
      break;
    case Field::kNamespace:
      namespaces_.add(glob, id);
      break;
    case Field::kServiceAccount:
      accounts_.add(glob, id);
      break;
    case Field::kSourceIp:
      blocks_.add(block_of(key.text), id);
      break;
    case Field::kPort: {
      auto& ids = ports_[port_of(key.text)];
      if (ids.empty() || ids.back() != id) ids.push_back(id);
      break;
    }
    case Field::kMethod:
      methods_.add(glob, id);
      break;
    case Field::kPath:
      paths_.add(glob, id);
      if (path_rules_.empty() || path_rules_.back() != id) path_rules_.push_back(id);
      break;
    default:
      hosts_.add(glob, id);
      break;
  }
}

}  // namespace sallyport::authz
