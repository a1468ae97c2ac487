// How long policies take to compile, and how large the tables are.
//
//   policy_bench [PODS POLICIES]...     default: 100 100, 1000 1000, 10000 1000
//
// Four shapes: `tenants` has many namespaces, each with its own policies between its own pods;
// `mesh` has services that allow one another across namespaces by labels; `blocks` has ipBlocks
// with exceptions; `open` is `mesh` where every policy also opens a port to all pods. Each shape is
// compiled five times; the median counts.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "policy/compiled.h"
#include "policy/evaluator.h"

namespace {

using namespace sallyport;  // NOLINT: a program of one file

using Clock = std::chrono::steady_clock;

enum class Shape { kTenants, kMesh, kBlocks, kOpen };

k8s::LabelSelector labelled(k8s::Labels labels) {
  return {std::move(labels), {}};
}

k8s::NetworkPolicyRule make_rule(Shape shape, int i, int namespaces, int apps) {
  k8s::NetworkPolicyRule rule;
  auto app = [&](int n) { return labelled({{"app", "app-" + std::to_string(n % apps)}}); };
  auto ns = [&](int n) { return labelled({{"team", "team-" + std::to_string(n % namespaces)}}); };
  switch (shape) {
    case Shape::kTenants:
      rule.peers.push_back({app(i), std::nullopt, std::nullopt});
      rule.peers.push_back({app(i + 1), std::nullopt, std::nullopt});
      break;
    case Shape::kMesh:
    case Shape::kOpen:
      rule.peers.push_back({app(i), ns(i), std::nullopt});
      rule.peers.push_back({std::nullopt, ns(i + 7), std::nullopt});
      break;
    case Shape::kBlocks: {
      Ip base = Ip::v4(0xc6120000 + (static_cast<uint32_t>(i) % 250 << 8));
      k8s::IpBlock block{{base, 24}, {{base, 28}, {offset_ip(base, 128), 27}}};
      rule.peers.push_back({std::nullopt, std::nullopt, block});
      break;
    }
  }
  rule.ports.push_back({k8s::Protocol::kTcp, k8s::IntOrString{8080 + i % 5, ""}, std::nullopt});
  rule.ports.push_back({k8s::Protocol::kTcp, k8s::IntOrString{9000, ""}, 9100});
  return rule;
}

world::World make_world(Shape shape, int pods, int policies) {
  world::World world;
  const int namespaces = std::max(1, pods / 50), apps = 10;
  for (int n = 0; n < namespaces; ++n)
    world.namespaces["ns-" + std::to_string(n)] = {{"team", "team-" + std::to_string(n)}};
  for (int i = 0; i < pods; ++i) {
    world::Endpoint pod;
    pod.id = static_cast<uint32_t>(i + 1);
    pod.ns = "ns-" + std::to_string(i % namespaces);
    pod.name = "pod-" + std::to_string(i);
    pod.labels = {{"app", "app-" + std::to_string(i / namespaces % apps)},
                  {"version", "v" + std::to_string(i % 3)}};
    Ip v6;
    v6.bytes = {0xfd, 0, 0, 1};
    pod.ips = {Ip::v4(0xc6120000 + static_cast<uint32_t>(i) + 1),
               offset_ip(v6, static_cast<uint32_t>(i) + 1)};
    pod.ports = {{"http", 8080, k8s::Protocol::kTcp}};
    world.endpoints.push_back(std::move(pod));
  }
  for (int i = 0; i < policies; ++i) {
    auto policy = std::make_shared<k8s::NetworkPolicy>();
    policy->meta.ns = "ns-" + std::to_string(i % namespaces);
    policy->meta.name = "policy-" + std::to_string(i);
    policy->pod_selector = labelled({{"app", "app-" + std::to_string(i / namespaces % apps)}});
    policy->isolates_ingress = policy->isolates_egress = true;
    policy->ingress = {make_rule(shape, i, namespaces, apps)};
    policy->egress = {make_rule(shape, i + 3, namespaces, apps)};
    if (shape == Shape::kOpen) {
      k8s::NetworkPolicyRule all;
      all.peers.push_back({std::nullopt, k8s::LabelSelector{}, std::nullopt});
      all.ports.push_back({k8s::Protocol::kTcp, k8s::IntOrString{15020, ""}, std::nullopt});
      policy->ingress.push_back(all);
    }
    world.network_policies.push_back(std::move(policy));
  }
  world.finish();
  return world;
}

void measure(Shape shape, const char* name, int pods, int policies) {
  world::World world = make_world(shape, pods, policies);
  policy::RuleRegistry rules;
  policy::Compiled compiled;
  std::vector<double> millis;
  for (int i = 0; i < 5; ++i) {
    auto start = Clock::now();
    compiled = policy::compile(world, rules);
    millis.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  std::sort(millis.begin(), millis.end());

  // One decision over the tables and one by the evaluator, over a spread of pairs.
  const int questions = 20000;
  size_t allowed = 0;
  auto ask = [&](auto&& decide, int count) {
    auto start = Clock::now();
    for (int i = 0; i < count; ++i) {
      const auto& from = world.endpoints[static_cast<size_t>(i) * 7919 % world.endpoints.size()];
      const auto& to = world.endpoints[static_cast<size_t>(i) * 104729 % world.endpoints.size()];
      allowed += decide(from.ips[0], to.ips[0]) ? 1 : 0;
    }
    return std::chrono::duration<double, std::nano>(Clock::now() - start).count() / count;
  };
  double table_ns =
      ask([&](const Ip& from, const Ip& to) { return compiled.decide(from, to, 6, 8080).allow; },
          questions);
  double reference_ns = ask(
      [&](const Ip& from, const Ip& to) {
        return policy::evaluate(
                   world, {nullptr, nullptr, from, to, k8s::Protocol::kTcp, 8080, Family::kV4})
            .allow;
      },
      questions / 100);
  std::printf("%-8s %6d %8d %9.1f %7zu %7zu %9zu %8zu %9.0f %11.0f\n", name, pods, policies,
              millis[2], compiled.sets.size(), compiled.programs.size(),
              compiled.programs_of.size(), compiled.cidrs.size(), table_ns, reference_ns);
  std::fflush(stdout);
  if (allowed == 0) std::printf("  nothing was allowed: the shape is wrong\n");
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::pair<int, int>> sizes;
  for (int i = 1; i + 1 < argc; i += 2)
    sizes.emplace_back(std::atoi(argv[i]), std::atoi(argv[i + 1]));
  if (sizes.empty()) sizes = {{100, 100}, {1000, 1000}, {10000, 1000}};
  std::printf("%-8s %6s %8s %9s %7s %7s %9s %8s %9s %11s\n", "shape", "pods", "policies", "ms",
              "sets", "progs", "pairs", "prefixes", "ns/table", "ns/evaluate");
  for (auto [pods, policies] : sizes) {
    if (pods < 1 || policies < 1) {
      std::fprintf(stderr, "policy_bench: expected pairs of positive numbers: PODS POLICIES\n");
      return 2;
    }
    measure(Shape::kTenants, "tenants", pods, policies);
    measure(Shape::kMesh, "mesh", pods, policies);
    measure(Shape::kBlocks, "blocks", pods, policies);
    measure(Shape::kOpen, "open", pods, policies);
  }
  return 0;
}
