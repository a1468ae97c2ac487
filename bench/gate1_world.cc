// A client pod and a server pod behind one gate, for bench/gate1. Prints where their namespaces are
// and the server's address as one line of JSON, then obeys lines on standard input and answers each
// with one line, "ok" or "error: ...":
//   attach | detach
//   policies N   publishes N policies that all select the server or the client; one of them allows
//   quit
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <string>

#include "base/strings.h"
#include "kernel/world_net.h"

namespace sallyport {
namespace {

constexpr uint16_t kPort = 8080;

k8s::NetworkPolicyPort tcp_port(int number) {
  return {k8s::Protocol::kTcp, k8s::IntOrString{number, ""}, std::nullopt};
}

k8s::NetworkPolicyPeer pods_labelled(const std::string& app) {
  return {k8s::LabelSelector{{{"app", app}}, {}}, std::nullopt, std::nullopt};
}

// The first policy allows what the benchmark does; each further one allows others, other ports or
// outside blocks, and selects the server (even numbers) or the client (odd numbers).
std::shared_ptr<const k8s::NetworkPolicy> policy_number(int i) {
  auto policy = std::make_shared<k8s::NetworkPolicy>();
  policy->meta.ns = "bench";
  policy->meta.name = "policy-" + std::to_string(10000 + i);
  bool server = i % 2 == 0;
  policy->pod_selector.match_labels["app"] = server ? "server" : "client";
  k8s::NetworkPolicyRule rule;
  if (i == 0) {
    rule.peers = {pods_labelled("client")};
    rule.ports = {tcp_port(kPort)};
  } else if (i == 1) {
    rule.peers = {pods_labelled("server")};
  } else {
    rule.ports = {tcp_port(10000 + i)};
    k8s::NetworkPolicyPeer block;
    block.ip_block =
        k8s::IpBlock{Cidr{Ip::v4(0xc6138000 + static_cast<uint32_t>(i % 1000) * 16), 28}, {}};
    rule.peers = {block, pods_labelled(i % 3 == 0 ? "client" : "nobody")};
  }
  policy->isolates_ingress = server;
  policy->isolates_egress = !server;
  (server ? policy->ingress : policy->egress).push_back(rule);
  return policy;
}

class Bench {
 public:
  Status open() {
    kernel_test::WorldPlan plan;
    for (const char* name : {"client", "server"}) {
      kernel_test::Host host;
      host.name = std::string("bench/") + name;
      auto last = static_cast<uint32_t>(plan.hosts.size()) + 1;
      host.v4 = Ip::v4(0xc6120000 + last);
      host.v6 = offset_ip(*Ip::parse("fd00:5a11::"), last);
      plan.hosts.push_back(host);
    }
    plan.pod_ranges = {*Cidr::parse("198.18.0.0/16"), *Cidr::parse("fd00:5a11::/64")};
    SP_TRY(net_, kernel_test::WorldNet::build(plan, "bench"));
    SP_CHECK_OK(policies(1));
    std::printf("{\"pid\": %d, \"client_netns\": %d, \"server_netns\": %d, \"server\": \"%s\"}\n",
                static_cast<int>(::getpid()), net_->hosts()[0].netns, net_->hosts()[1].netns,
                net_->hosts()[1].v4.to_string().c_str());
    std::fflush(stdout);
    return {};
  }

  Status policies(int count) {
    world::World world;
    for (const kernel_test::Host& host : net_->hosts()) {
      world::Endpoint pod;
      pod.id = host.endpoint_id;
      pod.ns = "bench";
      pod.name = host.name.substr(6);
      pod.labels["app"] = pod.name;
      pod.ips = {host.v4, host.v6};
      world.endpoints.push_back(std::move(pod));
    }
    // The client's egress is isolated by policy 1; with a single policy it is free.
    for (int i = 0; i < count; ++i) world.network_policies.push_back(policy_number(i));
    world.finish();
    SP_TRY([[maybe_unused]] uint64_t generation, net_->publish(policy::compile(world, rules_)));
    return {};
  }

  Status obey(const std::string& line) {
    std::vector<std::string> words = split(line, ' ');
    if (line == "attach") return net_->gate().attach();
    if (line == "detach") return net_->gate().detach();
    auto count =
        words.size() == 2 && words[0] == "policies" ? parse_number<int>(words[1]) : std::nullopt;
    if (count && *count >= 1 && *count <= 100000) return policies(*count);
    return fail(Code::kInvalid, "expected attach, detach, policies N or quit");
  }

  Status remove() { return net_->remove(); }
  // Reads flow events until the next line can be read. By the clock and not by the ring's wakeups:
  // a reader that wakes for each event keeps the CPUs from sleeping, and so makes the attached case
  // look faster than the detached one, which has no events.
  void wait_for_line() {
    constexpr int kEveryMs = 50;
    pollfd input{STDIN_FILENO, POLLIN, 0};
    while (::poll(&input, 1, kEveryMs) == 0)
      net_->gate().drain_events([](const gate::FlowEvent&) {});
  }

 private:
  std::unique_ptr<kernel_test::WorldNet> net_;
  policy::RuleRegistry rules_;
};

int report(const Status& status) {
  if (!status) std::fprintf(stderr, "gate1_world: %s\n", status.error().message.c_str());
  return status ? 0 : 1;
}

}  // namespace
}  // namespace sallyport

int main() {
  sallyport::Bench bench;
  if (auto opened = bench.open(); !opened) return sallyport::report(opened);
  std::string line;
  // One command is answered before the next is sent: nothing waits in the stream's own buffer.
  while (bench.wait_for_line(), std::getline(std::cin, line) && line != "quit") {
    auto done = bench.obey(line);
    std::printf("%s\n", done ? "ok" : ("error: " + done.error().message).c_str());
    std::fflush(stdout);
  }
  return sallyport::report(bench.remove());
}
