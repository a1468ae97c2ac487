#include "k8s/selector.h"

#include <algorithm>

#include "base/strings.h"

namespace sallyport::k8s {

bool matches(const LabelRequirement& requirement, const Labels& labels) {
  using Op = LabelRequirement::Op;
  auto found = labels.find(requirement.key);
  bool present = found != labels.end();
  bool listed = present && std::find(requirement.values.begin(), requirement.values.end(),
                                     found->second) != requirement.values.end();
  switch (requirement.op) {
    case Op::kIn:
      return listed;
    case Op::kNotIn:
      return !listed;
    case Op::kExists:
      return present;
    case Op::kDoesNotExist:
      return !present;
  }
  return false;
}

bool matches(const LabelSelector& selector, const Labels& labels) {
  for (const auto& [key, value] : selector.match_labels) {
    auto found = labels.find(key);
    if (found == labels.end() || found->second != value) return false;
  }
  return std::all_of(selector.match_expressions.begin(), selector.match_expressions.end(),
                     [&](const LabelRequirement& r) { return matches(r, labels); });
}

std::string to_string(const LabelRequirement& requirement) {
  using Op = LabelRequirement::Op;
  switch (requirement.op) {
    case Op::kIn:
      return requirement.key + " in (" + join(requirement.values, ",") + ")";
    case Op::kNotIn:
      return requirement.key + " notin (" + join(requirement.values, ",") + ")";
    case Op::kExists:
      return requirement.key;
    case Op::kDoesNotExist:
      return "!" + requirement.key;
  }
  return "";
}

std::string to_string(const LabelSelector& selector) {
  if (selector.empty()) return "<all>";
  std::vector<std::string> parts;
  for (const auto& [key, value] : selector.match_labels) parts.push_back(join({key, value}, "="));
  for (const LabelRequirement& r : selector.match_expressions) parts.push_back(to_string(r));
  return join(parts, ",");
}

std::string_view to_string(Protocol protocol) {
  switch (protocol) {
    case Protocol::kTcp:
      return "TCP";
    case Protocol::kUdp:
      return "UDP";
    case Protocol::kSctp:
      return "SCTP";
    case Protocol::kIcmp:
      return "ICMP";
  }
  return "?";
}

}  // namespace sallyport::k8s
