// Which rules may match a subject, without looking at the others. Each rule is filed once, under
// the values of the one part (its sources, its operations, or one condition) that fewest other
// rules share; a rule without such a part is a candidate always. So the cost of a question depends
// on how many rules share the rarest of a rule's values, not on how many rules there are.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "authz/cidr_map.h"
#include "authz/clauses.h"
#include "authz/compiled_rule.h"
#include "authz/glob_map.h"

namespace sallyport::authz {

class RuleIndex {
 public:
  struct Entry {
    const RuleClauses* rule;
    const ValueContext* context;
  };
  // Rules by their numbers, 0 and up.
  explicit RuleIndex(const std::vector<Entry>& rules);

  // visit(ids): ascending rule numbers, list by list; a rule may come more than once. Every rule
  // that matches the subject is visited.
  template <class Visit>
  void candidates(const Subject& subject, Visit&& visit) const {
    auto take = [&](const GlobMap::Ids& ids) {
      visit(std::span<const uint32_t>(ids));
      return false;
    };
    if (!rest_.empty()) take(rest_);
    const ConnectionFacts& connection = subject.connection;
    find(principals_, connection.principal, take);
    find(namespaces_, subject.peer.ns, take);
    find(accounts_, subject.peer.account, take);
    if (!blocks_.empty()) blocks_.find(connection.source_ip, take);
    if (!ports_.empty())
      if (auto found = ports_.find(connection.destination_port); found != ports_.end())
        take(found->second);
    if (subject.request == nullptr) return;
    find(methods_, subject.request->method, take);
    find(paths_, subject.request->path, take);
    find(paths_, subject.loose.text, take);
    if (subject.loose.too_long && !path_rules_.empty()) take(path_rules_);
    if (!hosts_.empty())
      any_host_spelling(subject, [&](const FoldedText& text) { return hosts_.find(text, take); });
  }

 private:
  template <class Take>
  static void find(const GlobMap& map, std::string_view text, Take& take) {
    if (!map.empty() && !text.empty()) map.find(PlainText{text}, take);
  }
  void file(const Key& key, uint32_t id);

  GlobMap principals_, namespaces_, accounts_, methods_, paths_, hosts_;
  CidrMap blocks_;
  std::map<uint16_t, GlobMap::Ids> ports_;
  GlobMap::Ids path_rules_;  // all that are filed in paths_
  GlobMap::Ids rest_;
};

}  // namespace sallyport::authz
