// Generations switched under load, between two policies that say the same in different ways: one
// pod is allowed by both, another denied by both. No packet of either may ever be judged otherwise:
// a packet that saw tables of two generations mixed would be. SALLYPORT_FLIPS sets their number.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "base/strings.h"
#include "kernel/sockets.h"
#include "kernel/world_net.h"
#include "net/netns.h"
#include "policy/test_support.h"

namespace sallyport::kernel_test {
namespace {

using policy::testing::block;
using policy::testing::labelled;
using policy::testing::pods;

constexpr uint16_t kPort = 8080;

// A friend, a stranger and a server, all in one namespace.
class Flips : public ::testing::Test {
 protected:
  void SetUp() override {
    WorldPlan plan;
    for (const char* name : {"friend", "stranger", "server"}) {
      Host host;
      host.name = name;
      auto number = static_cast<uint32_t>(plan.hosts.size()) + 1;
      host.v4 = offset_ip(policy::testing::ip("198.18.0.0"), number);
      host.v6 = offset_ip(policy::testing::ip("fd00:1::"), number);
      plan.hosts.push_back(host);
    }
    plan.ports = {kPort};
    plan.pod_ranges = {policy::testing::cidr("198.18.0.0/16"),
                       policy::testing::cidr("fd00:1::/64")};
    auto built = WorldNet::build(plan, "flips");
    ASSERT_TRUE(built) << built.error().message;
    net_ = std::move(*built);
  }
  void TearDown() override {
    if (!net_) return;
    Status removed = net_->remove();
    EXPECT_TRUE(removed) << removed.error().message;
  }

  // The numbers of sets, classes, programs and pieces differ between the two, so that parts of one
  // read with parts of the other would name something else.
  policy::Compiled compiled(bool by_label) {
    world::World world;
    for (const Host& host : net_->hosts()) {
      world::Endpoint pod;
      pod.id = host.endpoint_id;
      pod.ns = "flips";
      pod.name = host.name;
      pod.labels["app"] = host.name;
      pod.ips = {host.v4, host.v6};
      world.endpoints.push_back(std::move(pod));
    }
    auto add = [&world](const std::string& name, const char* subject,
                        std::vector<k8s::NetworkPolicyRule> ingress) {
      policy::testing::add(
          world, policy::testing::network_policy("flips", name, labelled({{"app", subject}}),
                                                 std::move(ingress)));
    };
    if (by_label) {
      add("by-label", "server", {policy::testing::rule({pods(labelled({{"app", "friend"}}))})});
    } else {
      // More sets, more classes, and the stranger where the friend was.
      add("a-closed", "friend", {});
      add("b-open", "stranger", {policy::testing::rule({})});
      add("c-by-address", "server",
          {policy::testing::rule({block("198.18.0.3/32"), block("fd00:1::3/128")}),
           policy::testing::rule({block("198.18.0.0/30", {"198.18.0.2/31"}),
                                  block("fd00:1::/126", {"fd00:1::2/127"})},
                                 {policy::testing::port(1, k8s::Protocol::kTcp, 65535),
                                  policy::testing::port(1, k8s::Protocol::kUdp, 65535)})});
    }
    world.finish();
    return policy::compile(world, rules_);
  }

  // Sends and waits for the echo until `stop`; returns what went wrong, or nothing. A new socket,
  // and so a new connection, for every `per_socket` of them.
  std::string ask_until(const std::atomic<bool>& stop, const Host& from, Family family, int type,
                        int per_socket, size_t& answers) {
    std::string wrong;
    SocketAddress to = socket_address(net_->find("server")->ip(family), kPort);
    Status ran = net::in_netns(from.netns, [&]() -> Status {
      while (!stop && wrong.empty()) {
        Fd fd(::socket(family == Family::kV4 ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, 0));
        if (!fd) return fail_errno("socket");
        timeval limit{0, 900'000};  // below the first retransmission: a lost packet shows
        ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        linger hard{1, 0};
        if (type == SOCK_STREAM) ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        if (::connect(fd.get(), to.get(), to.size) != 0) wrong = "connect: no answer";
        for (int i = 0; i < per_socket && wrong.empty() && !stop; ++i) {
          char data = '?';
          if (::send(fd.get(), &data, 1, MSG_NOSIGNAL) != 1 || ::recv(fd.get(), &data, 1, 0) != 1)
            wrong = "no echo of number " + std::to_string(answers + 1);
          else
            ++answers;
        }
      }
      return {};
    });
    if (!ran) wrong = ran.error().message;
    return wrong;
  }

  // Sends and hopes for an answer, which would be the mistake.
  std::string knock_until(const std::atomic<bool>& stop, const Host& from, size_t& sent) {
    std::string wrong;
    Status ran = net::in_netns(from.netns, [&]() -> Status {
      while (!stop && wrong.empty()) {
        for (Family family : {Family::kV4, Family::kV6}) {
          SocketAddress to = socket_address(net_->find("server")->ip(family), kPort);
          Fd fd(::socket(family == Family::kV4 ? AF_INET : AF_INET6,
                         SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
          if (!fd || ::connect(fd.get(), to.get(), to.size) != 0) return fail_errno("socket");
          for (int i = 0; i < 20; ++i) {
            char data = '!';
            if (::send(fd.get(), &data, 1, MSG_NOSIGNAL) == 1) ++sent;
            std::this_thread::sleep_for(std::chrono::microseconds(200));
            if (::recv(fd.get(), &data, 1, 0) >= 0 || errno != EAGAIN)
              wrong = "something came back to number " + std::to_string(sent);
          }
        }
      }
      return {};
    });
    if (!ran) wrong = ran.error().message;
    return wrong;
  }

  std::unique_ptr<WorldNet> net_;
  policy::RuleRegistry rules_;
};

TEST_F(Flips, NoWrongVerdictBetweenTwoPoliciesThatAgree) {
  const char* text = std::getenv("SALLYPORT_FLIPS");
  int flips = text == nullptr ? 10'000 : parse_number<int>(text).value_or(10'000);
  policy::Compiled both[2] = {compiled(true), compiled(false)};
  ASSERT_TRUE(net_->publish(both[0]));

  const Host& peer = *net_->find("friend");
  const Host& stranger = *net_->find("stranger");
  std::atomic<bool> stop{false};
  struct Load {
    const char* name;
    size_t count = 0;
    std::string wrong = {};
    std::thread thread = {};
  };
  Load loads[] = {{"UDP of one connection"},
                  {"UDP, new connections"},
                  {"TCP of one connection"},
                  {"TCP, new connections"},
                  {"stranger"}};
  auto begin = [&](Load& load, auto work) {
    load.thread = std::thread([&load, work] { load.wrong = work(load.count); });
  };
  auto asking = [&](Family family, int type, int per_socket) {
    return [this, &stop, &peer, family, type, per_socket](size_t& count) {
      return ask_until(stop, peer, family, type, per_socket, count);
    };
  };
  begin(loads[0], asking(Family::kV4, SOCK_DGRAM, INT32_MAX));
  begin(loads[1], asking(Family::kV6, SOCK_DGRAM, 1));
  begin(loads[2], asking(Family::kV6, SOCK_STREAM, INT32_MAX));
  begin(loads[3], asking(Family::kV4, SOCK_STREAM, 1));
  begin(loads[4], [&](size_t& count) { return knock_until(stop, stranger, count); });

  auto start = std::chrono::steady_clock::now();
  std::string failed;
  uint64_t last = 0;
  size_t revoked = 0;
  for (int i = 1; i <= flips && failed.empty(); ++i) {
    auto generation = net_->publish(both[i % 2]);
    if (!generation)
      failed = generation.error().message;
    else if (*generation <= last)
      failed = "generation " + std::to_string(*generation) + " after " + std::to_string(last);
    else
      last = *generation;
    net_->gate().drain_events([&](const gate::FlowEvent& event) {
      bool denied = event.kind == gate::FlowEvent::Kind::kDenied ||
                    event.kind == gate::FlowEvent::Kind::kRevoked;
      if (denied != (event.source == stranger.v4 || event.source == stranger.v6)) ++revoked;
    });
  }
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  stop = true;
  for (Load& load : loads) {
    load.thread.join();
    EXPECT_EQ(load.wrong, "") << load.name;
    EXPECT_GT(load.count, 100U) << load.name;
    std::printf("%s: %zu\n", load.name, load.count);
  }
  EXPECT_EQ(failed, "");
  EXPECT_EQ(revoked, 0U) << "events with the wrong verdict";
  std::printf("%d flips in %.1f s\n", flips, took.count());
}

}  // namespace
}  // namespace sallyport::kernel_test
