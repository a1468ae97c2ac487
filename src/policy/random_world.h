// Random small worlds in which much happens: few labels, so that selectors meet; blocks around the
// pods' addresses, with exceptions; named ports that differ from pod to pod. For property tests.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "policy/test_support.h"

namespace sallyport::policy::testing {

class RandomWorld {
 public:
  struct Options {
    bool cluster_policies = false;
    bool odd_pods = true;  // host-network, terminated, without address, of one family only
    int most_pods = 8;
    int most_policies = 6;
  };

  RandomWorld(uint64_t seed, Options options) : random_(seed), options_(options) {
    for (const char* ns : {"east", "north", "west"}) world_.namespaces[ns] = labels();
    for (int i = 1; i <= 2; ++i)
      world_.nodes.push_back(
          {"node-" + std::to_string(i),
           labels(),
           {ip("198.19.0." + std::to_string(i)), ip("fd00:2::" + std::to_string(i))}});
    int count = between(2, options.most_pods);
    for (int i = 1; i <= count; ++i) world_.endpoints.push_back(pod(i));
    count = between(1, options.most_policies);
    for (int i = 0; i < count; ++i) add(world_, network_policy(i));
    if (options.cluster_policies)
      for (int i = between(1, 4); i > 0; --i) add(world_, cluster_policy(i));
    world_.finish();
  }

  [[nodiscard]] const world::World& world() const { return world_; }

  // Addresses worth asking about: of pods, nodes, and of nobody, inside and outside of blocks.
  [[nodiscard]] std::vector<Ip> addresses(Family family) const {
    std::vector<Ip> out;
    auto take = [&](const Ip& candidate) {
      if (candidate.family() == family) out.push_back(candidate);
    };
    for (const world::Endpoint& endpoint : world_.endpoints)
      for (const Ip& own : endpoint.ips) take(own);
    for (const world::NodeInfo& node : world_.nodes)
      for (const Ip& own : node.addresses) take(own);
    for (const char* text : {"198.18.0.200", "198.18.1.7", "198.19.128.9", "fd00:1::c8",
                             "fd00:1::1:7", "fd00:3::9", "fdff::1"})
      take(ip(text));
    return out;
  }

  struct Probe {
    k8s::Protocol protocol;
    uint16_t port;
  };
  [[nodiscard]] static std::vector<Probe> probes() {
    using enum k8s::Protocol;
    return {{kTcp, 80}, {kTcp, 81},   {kTcp, 8080}, {kTcp, 0},     {kTcp, 65535}, {kUdp, 53},
            {kUdp, 80}, {kUdp, 8080}, {kSctp, 80},  {kSctp, 9000}, {kIcmp, 0}};
  }

  int between(int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random_);
  }
  bool one_in(int n) { return between(1, n) == 1; }
  template <class T>
  T pick(const std::vector<T>& from) {
    return from[static_cast<size_t>(between(0, static_cast<int>(from.size()) - 1))];
  }

 private:
  std::string key() { return pick<std::string>({"app", "tier", "zone"}); }
  std::string value() { return pick<std::string>({"a", "b", "c"}); }

  k8s::Labels labels() {
    k8s::Labels out;
    for (const char* name : {"app", "tier", "zone"})
      if (!one_in(3)) out[name] = value();
    return out;
  }

  k8s::LabelSelector selector() {
    k8s::LabelSelector out;
    if (one_in(4)) return out;
    if (one_in(2)) out.match_labels[key()] = value();
    if (one_in(2)) {
      using Op = k8s::LabelRequirement::Op;
      k8s::LabelRequirement requirement;
      requirement.key = key();
      requirement.op = pick<Op>({Op::kIn, Op::kNotIn, Op::kExists, Op::kDoesNotExist});
      if (requirement.op == Op::kIn || requirement.op == Op::kNotIn) {
        requirement.values = {"a"};
        if (one_in(2)) requirement.values.emplace_back("b");
      }
      out.match_expressions.push_back(requirement);
    }
    return out;
  }

  k8s::Protocol protocol() {
    using enum k8s::Protocol;
    return pick<k8s::Protocol>({kTcp, kTcp, kUdp, kSctp});
  }
  int number() { return pick<int>({53, 80, 81, 8080, 9000}); }
  std::string port_name() { return pick<std::string>({"web", "dns", "admin"}); }

  world::Endpoint pod(int i) {
    world::Endpoint out;
    out.id = static_cast<uint32_t>(i);
    out.ns = pick<std::string>({"east", "north", "west"});
    out.name = "pod-" + std::to_string(i);
    out.labels = labels();
    int node = between(1, 2);
    out.node = "node-" + std::to_string(node);
    out.ips = {ip("198.18.0." + std::to_string(i)), ip("fd00:1::" + std::to_string(i))};
    for (int n = between(0, 3); n > 0; --n)
      out.ports.push_back({port_name(), number(), protocol()});
    if (!options_.odd_pods) return out;
    if (one_in(8)) {
      out.host_network = true;
      out.ips = world_.nodes[static_cast<size_t>(node - 1)].addresses;
    } else if (one_in(8)) {
      out.terminated = true;
      // Its address may be another pod's by now.
      if (one_in(2)) out.ips = {ip("198.18.0.1"), ip("fd00:1::1")};
    } else if (one_in(8)) {
      out.ips.pop_back();
    } else if (one_in(10)) {
      out.ips.clear();
    }
    return out;
  }

  std::string around(bool v4) {
    std::string i = std::to_string(between(1, options_.most_pods));
    if (v4)
      return pick<std::string>({"0.0.0.0/0", "198.18.0.0/15", "198.18.0.0/16", "198.18.0.0/24",
                                "198.18.0.0/29", "198.18.0.4/30", "198.18.0." + i + "/32",
                                "198.19.0.0/24", "198.19.0.1/32", "198.19.128.0/17"});
    return pick<std::string>({"::/0", "fd00::/8", "fd00:1::/32", "fd00:1::/120", "fd00:1::/125",
                              "fd00:1::4/126", "fd00:1::" + i + "/128", "fd00:2::/64",
                              "fd00:2::1/128", "fd00:3::/64"});
  }

  k8s::NetworkPolicyPeer ip_block() {
    bool v4 = one_in(2);
    k8s::IpBlock out{cidr(around(v4)), {}};
    for (int n = between(0, 2); n > 0; --n) {
      Cidr except = cidr(around(v4));
      if (out.cidr.contains(except) && out.cidr != except) out.except.push_back(except);
    }
    return {std::nullopt, std::nullopt, std::move(out)};
  }

  k8s::NetworkPolicyRule network_rule() {
    k8s::NetworkPolicyRule out;
    for (int n = between(0, 3); n > 0; --n) {
      switch (between(0, 3)) {
        case 0:
          out.peers.push_back(pods(selector()));
          break;
        case 1:
          out.peers.push_back(namespaces(selector()));
          break;
        case 2:
          out.peers.push_back(pods_in(selector(), selector()));
          break;
        default:
          out.peers.push_back(ip_block());
          break;
      }
    }
    for (int n = between(0, 3); n > 0; --n) {
      switch (between(0, 3)) {
        case 0:
          out.ports.push_back(any_port(protocol()));
          break;
        case 1:
          out.ports.push_back(port(port_name(), protocol()));
          break;
        case 2:
          out.ports.push_back(port(number(), protocol()));
          break;
        default:
          out.ports.push_back(port(53, protocol(), number()));
          break;
      }
    }
    return out;
  }

  k8s::NetworkPolicy network_policy(int i) {
    std::vector<k8s::NetworkPolicyRule> ingress, egress;
    for (int n = between(0, 3); n > 0; --n) ingress.push_back(network_rule());
    for (int n = between(0, 3); n > 0; --n) egress.push_back(network_rule());
    auto out = testing::network_policy(pick<std::string>({"east", "north", "west"}),
                                       "policy-" + std::to_string(i), selector(),
                                       std::move(ingress), std::move(egress));
    out.isolates_ingress = !one_in(3);
    out.isolates_egress = !one_in(3);
    return out;
  }

  k8s::CnpRule cluster_rule(bool egress) {
    using enum k8s::CnpAction;
    k8s::CnpRule out;
    out.action = pick<k8s::CnpAction>({kAccept, kDeny, kPass});
    for (int n = between(1, 2); n > 0; --n) {
      k8s::CnpPeer peer;
      switch (between(0, egress ? 5 : 1)) {
        case 0:
          peer.pods = k8s::CnpPods{selector(), {}};
          break;
        case 1:
          peer.pods = k8s::CnpPods{selector(), selector()};
          break;
        case 2:
          peer.nodes = selector();
          break;
        case 3:
          peer.domain_names = {"*.example.com"};
          break;
        default:
          peer.networks = {cidr(around(true)), cidr(around(false))};
          break;
      }
      if (one_in(20)) peer = {};  // a form of a newer version
      out.peers.push_back(std::move(peer));
    }
    for (int n = between(0, 2); n > 0; --n) {
      k8s::CnpProtocol match;
      if (one_in(3)) {
        match.named_port = one_in(20) ? "" : port_name();
      } else {
        match.protocol = protocol();
        if (!one_in(3)) match.first_port = match.last_port = number();
        if (one_in(3)) match.last_port = 9000;
      }
      out.protocols.push_back(match);
    }
    return out;
  }

  k8s::ClusterNetworkPolicy cluster_policy(int i) {
    k8s::ClusterNetworkPolicy out;
    out.meta.name = "cluster-" + std::to_string(i);
    out.tier = one_in(2) ? k8s::CnpTier::kAdmin : k8s::CnpTier::kBaseline;
    out.priority = between(0, 2);
    out.subject = {selector(), one_in(2) ? selector() : k8s::LabelSelector{}};
    for (int n = between(0, 3); n > 0; --n) out.ingress.push_back(cluster_rule(false));
    for (int n = between(0, 3); n > 0; --n) out.egress.push_back(cluster_rule(true));
    return out;
  }

  std::mt19937_64 random_;
  Options options_;
  world::World world_;
};

}  // namespace sallyport::policy::testing
