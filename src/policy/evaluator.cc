#include "policy/evaluator.h"

#include <algorithm>
#include <tuple>

#include "k8s/selector.h"
#include "policy/match.h"
#include "policy/near_miss.h"

namespace sallyport::policy {
namespace {

using Policies = std::vector<const k8s::NetworkPolicy*>;

Side resolve(const world::World& world, const world::Endpoint* pod, const Ip& ip, Family family) {
  Side side;
  if (ip != Ip{}) side.ip = ip;
  if (pod == nullptr && side.ip) pod = world.find_ip(*side.ip);
  if (pod == nullptr) return side;
  if (!side.ip) {
    auto own = std::find_if(pod->ips.begin(), pod->ips.end(),
                            [&](const Ip& candidate) { return candidate.family() == family; });
    if (own != pod->ips.end()) side.ip = *own;
  }
  if (pod->selectable()) {
    side.pod = pod;
  } else if (!pod->terminated) {
    side.host_pod = pod;
  }
  return side;
}

const world::NodeInfo* node_of(const world::World& world, const world::Endpoint& pod) {
  if (pod.node.empty()) return world.nodes.size() == 1 ? &world.nodes.front() : nullptr;
  auto found = std::find_if(world.nodes.begin(), world.nodes.end(),
                            [&](const world::NodeInfo& node) { return node.name == pod.node; });
  return found == world.nodes.end() ? nullptr : &*found;
}

// The source is the node on which the destination pod runs.
bool from_own_node(const world::World& world, const Side& from, const world::Endpoint& to) {
  if (from.pod != nullptr) return false;
  if (from.host_pod != nullptr && !to.node.empty() && from.host_pod->node == to.node) return true;
  const world::NodeInfo* node = node_of(world, to);
  return node != nullptr && from.ip &&
         std::find(node->addresses.begin(), node->addresses.end(), *from.ip) !=
             node->addresses.end();
}

bool same_pod(const Side& from, const Side& to) {
  if (from.pod != nullptr) return from.pod == to.pod;
  return from.host_pod != nullptr && from.host_pod == to.host_pod;
}

DirectionVerdict plain(Reason reason) {
  DirectionVerdict verdict;
  verdict.reason = reason;
  return verdict;
}

DirectionVerdict decided(bool allow, std::string policy, size_t rule) {
  DirectionVerdict verdict;
  verdict.allow = allow;
  verdict.reason = Reason::kRule;
  verdict.policy = std::move(policy);
  verdict.rule = static_cast<int>(rule);
  return verdict;
}

std::string name_of(const k8s::NetworkPolicy& policy) {
  return policy.meta.ns + "/" + policy.meta.name;
}

// The cluster policies of one tier that have the subject, in order of precedence.
std::vector<const k8s::ClusterNetworkPolicy*> cluster_policies(const Scene& scene,
                                                               k8s::CnpTier tier) {
  std::vector<const k8s::ClusterNetworkPolicy*> found;
  for (const auto& policy : scene.world->cluster_policies)
    if (policy->tier == tier && pods_match(*scene.world, policy->subject, scene.subject.pod))
      found.push_back(policy.get());
  std::sort(found.begin(), found.end(), [](const auto* a, const auto* b) {
    return std::tie(a->priority, a->meta.name) < std::tie(b->priority, b->meta.name);
  });
  return found;
}

// The verdict of one tier of cluster policies, or nothing where none matches or one says Pass.
std::optional<DirectionVerdict> judge_cluster(const Scene& scene, k8s::CnpTier tier) {
  for (const k8s::ClusterNetworkPolicy* policy : cluster_policies(scene, tier)) {
    const auto& rules = scene.direction == Direction::kEgress ? policy->egress : policy->ingress;
    for (size_t i = 0; i < rules.size(); ++i) {
      bool accept = rules[i].action == k8s::CnpAction::kAccept;
      std::string name = "ClusterNetworkPolicy/" + policy->meta.name;
      if (has_unknown_form(rules[i])) {
        if (!accept) return decided(false, std::move(name), i);
        continue;
      }
      if (!rule_matches(scene, rules[i])) continue;
      if (rules[i].action == k8s::CnpAction::kPass) return std::nullopt;
      return decided(accept, std::move(name), i);
    }
  }
  return std::nullopt;
}

Policies isolating(const Scene& scene) {
  Policies found;
  const auto& all = scene.world->network_policies;  // sorted by namespace, then name
  const std::string& ns = scene.subject.pod->ns;
  auto at = std::lower_bound(all.begin(), all.end(), ns, [](const auto& policy, const auto& key) {
    return policy->meta.ns < key;
  });
  for (; at != all.end() && (*at)->meta.ns == ns; ++at) {
    const k8s::NetworkPolicy& policy = **at;
    bool isolates =
        scene.direction == Direction::kEgress ? policy.isolates_egress : policy.isolates_ingress;
    if (isolates && k8s::matches(policy.pod_selector, scene.subject.pod->labels))
      found.push_back(&policy);
  }
  return found;
}

DirectionVerdict judge_network(const Scene& scene, const Policies& policies) {
  for (const k8s::NetworkPolicy* policy : policies) {
    const auto& rules = scene.direction == Direction::kEgress ? policy->egress : policy->ingress;
    for (size_t i = 0; i < rules.size(); ++i)
      if (rule_matches(scene, policy->meta.ns, rules[i])) return decided(true, name_of(*policy), i);
  }
  DirectionVerdict denied;
  denied.allow = false;
  denied.reason = Reason::kImplicitDeny;
  for (const k8s::NetworkPolicy* policy : policies) denied.isolated_by.push_back(name_of(*policy));
  denied.policy = denied.isolated_by.front();
  denied.nearest = nearest_miss(scene, policies);
  std::sort(denied.isolated_by.begin(), denied.isolated_by.end());
  return denied;
}

DirectionVerdict judge(const Scene& scene) {
  if (auto verdict = judge_cluster(scene, k8s::CnpTier::kAdmin)) return *std::move(verdict);
  Policies policies = isolating(scene);
  if (!policies.empty()) return judge_network(scene, policies);
  if (auto verdict = judge_cluster(scene, k8s::CnpTier::kBaseline)) return *std::move(verdict);
  return plain(Reason::kNotIsolated);
}

}  // namespace

Verdict evaluate(const world::World& world, const Query& query) {
  Side from = resolve(world, query.from_pod, query.from, query.family);
  Side to = resolve(world, query.to_pod, query.to, query.family);

  Verdict verdict;
  if (same_pod(from, to)) {
    verdict.egress = verdict.ingress = plain(Reason::kSelf);
    return verdict;
  }
  auto outside = [](const Side& side) {
    return plain(side.host_pod != nullptr ? Reason::kHostNetwork : Reason::kNoPod);
  };
  Scene scene{&world, Direction::kEgress, from, to, query.protocol, query.port};
  verdict.egress = from.pod == nullptr ? outside(from) : judge(scene);

  scene.direction = Direction::kIngress;
  std::swap(scene.subject, scene.remote);
  if (to.pod == nullptr) {
    verdict.ingress = outside(to);
  } else if (from_own_node(world, from, *to.pod)) {
    verdict.ingress = plain(Reason::kNode);
  } else {
    verdict.ingress = judge(scene);
  }
  verdict.allow = verdict.egress.allow && verdict.ingress.allow;
  return verdict;
}

}  // namespace sallyport::policy
