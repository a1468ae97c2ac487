#include "policy/explain.h"

#include "base/strings.h"

namespace sallyport::policy {
namespace {

std::string side_text(const world::World& world, const world::Endpoint* pod, const Ip& ip,
                      Family family) {
  bool has_ip = ip != Ip{};
  if (pod == nullptr && has_ip) pod = world.find_ip(ip);
  if (pod == nullptr) return has_ip ? ip.to_string() : "?";
  std::string address = has_ip ? ip.to_string() : "";
  if (!has_ip)
    for (const Ip& own : pod->ips)
      if (own.family() == family && address.empty()) address = own.to_string();
  return "pod " + pod->key() + " (" + (address.empty() ? "no address" : address) + ")";
}

std::string port_text(const Query& query) {
  std::string protocol(k8s::to_string(query.protocol));
  if (query.protocol == k8s::Protocol::kIcmp) return protocol;
  return protocol + " port " + std::to_string(query.port);
}

std::string rule_text(const DirectionVerdict& verdict, Direction direction) {
  std::string text = verdict.policy;
  if (verdict.rule)
    text += " " + std::string(to_string(direction)) + " rule " + std::to_string(*verdict.rule);
  return text;
}

}  // namespace

std::string explain_line(const DirectionVerdict& verdict, Direction direction) {
  bool egress = direction == Direction::kEgress;
  switch (verdict.reason) {
    case Reason::kRule:
      return (verdict.allow ? "allowed by " : "denied by ") + rule_text(verdict, direction);
    case Reason::kNotIsolated:
      return "allowed by default: no policy isolates the pod for " +
             std::string(to_string(direction));
    case Reason::kSelf:
      return "allowed: a pod always reaches itself";
    case Reason::kNode:
      return "allowed: the source is the node that the pod runs on";
    case Reason::kNoPod:
      return std::string("not judged: the ") + (egress ? "source" : "destination") + " is no pod";
    case Reason::kHostNetwork:
      return std::string("not judged: the ") + (egress ? "source" : "destination") +
             " is a host-network pod";
    case Reason::kImplicitDeny:
      break;
  }
  std::string text = "denied by default: isolated by " + join(verdict.isolated_by, ", ");
  if (!verdict.nearest)
    return text + "; none of them has a rule for " + std::string(to_string(direction));
  return text + "; nearest " + verdict.nearest->policy + " rule " +
         std::to_string(verdict.nearest->rule) + ": " + verdict.nearest->why;
}

std::string explain_text(const world::World& world, const Query& query, const Verdict& verdict) {
  std::string text = verdict.allow ? "ALLOW  " : "DENY   ";
  text += side_text(world, query.from_pod, query.from, query.family) + " -> " +
          side_text(world, query.to_pod, query.to, query.family) + " " + port_text(query) + "\n";
  for (Direction direction : {Direction::kEgress, Direction::kIngress}) {
    const DirectionVerdict& part =
        direction == Direction::kEgress ? verdict.egress : verdict.ingress;
    text +=
        "  " + std::string(to_string(direction)) + (direction == Direction::kEgress ? ":  " : ": ");
    if (part.reason != Reason::kImplicitDeny) {
      text += explain_line(part, direction) + "\n";
      continue;
    }
    text += "denied by default\n";
    text += "    isolated by " + join(part.isolated_by, ", ") + "\n";
    if (part.nearest)
      text += "    nearest     " + part.nearest->policy + " rule " +
              std::to_string(part.nearest->rule) + ": " + part.nearest->why + "\n";
    else
      text +=
          "    nearest     none: they have no " + std::string(to_string(direction)) + " rules\n";
  }
  return text;
}

}  // namespace sallyport::policy
