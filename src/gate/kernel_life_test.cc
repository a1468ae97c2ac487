// The gate over time: generations under load, takeover, upgrade, limits, and what remains.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <thread>

#include "base/fs.h"
#include "gate/kernel_fixture.h"
#include "gate/object.h"
#include "gate/pins.h"

namespace sallyport::gate {

namespace {

using std::chrono::milliseconds;

class KernelLife : public GateFixture {};

// The ids of a gate's own objects: those of other gates on this machine come and go meanwhile.
struct Objects {
  std::set<uint32_t> maps, programs, links;
};

template <class Info>
uint32_t id_of(int fd, uint32_t Info::* id) {
  Info info{};
  uint32_t size = sizeof(info);
  EXPECT_EQ(::bpf_obj_get_info_by_fd(fd, &info, &size), 0);
  return info.*id;
}

Objects objects_of(const Lab& lab) {
  Objects out;
  auto pins = Pins::open(lab.pin_dir);
  EXPECT_TRUE(pins);
  const auto maps = pins->get_maps();
  EXPECT_TRUE(maps);
  for (const auto& [name, fd] : *maps) {
    out.maps.insert(id_of(fd.get(), &bpf_map_info::id));
    bpf_map_info info{};
    uint32_t size = sizeof(info);
    ::bpf_obj_get_info_by_fd(fd.get(), &info, &size);
    if (info.type != BPF_MAP_TYPE_ARRAY_OF_MAPS) continue;
    for (uint32_t slot = 0; slot < SP_SLOTS; ++slot) {
      uint32_t inner = 0;
      if (::bpf_map_lookup_elem(fd.get(), &slot, &inner) == 0) out.maps.insert(inner);
    }
  }
  for (const char* name : {"program", "forget", "start"})
    out.programs.insert(id_of(pins->get(name)->get(), &bpf_prog_info::id));
  for (const char* name : {"link_forward4", "link_forward6", "link_local4", "link_local6"})
    out.links.insert(id_of(pins->get(name)->get(), &bpf_link_info::id));
  return out;
}

template <class Open>
size_t alive(const std::set<uint32_t>& ids, Open open) {
  size_t count = 0;
  for (const uint32_t id : ids) count += Fd(open(id)).get() >= 0;
  return count;
}

// Two policies that both let pod 1 in and keep pod 3 out, with different rules, classes and sets.
CompiledBuilder variant(const Lab& lab, int which) {
  CompiledBuilder b;
  if (which == 0) return one_way(lab, 100);
  const auto unused = b.deny_set(policy::Direction::kEgress, 500);
  b.allow(unused, 2, 6, 1, 10, 501);
  const auto ingress = b.deny_set(policy::Direction::kIngress, 300);
  b.allow(ingress, 1, 17, 8000, 9000, 301);
  for (const auto& pod : lab.pods)
    b.endpoint(pod.id, {pod.v4, pod.v6}, 0, pod.id == 2 ? ingress : 0);
  return b;
}

// A publication takes a grace period or two, so ten thousand of them take minutes; the number can
// be lowered for a quick look.
int flips() {
  const char* given = std::getenv("SALLYPORT_FLIPS");
  return given != nullptr ? std::atoi(given) : 10'000;
}

TEST_F(KernelLife, FlipsUnderLoadShowNoWrongVerdict) {
  const CompiledBuilder policies[2] = {variant(lab, 0), variant(lab, 1)};
  publish(policies[0]);
  const auto &a = lab.pods[0], &b = lab.pods[1], &c = lab.pods[2];
  Udp server(b.netns.get(), b.v4, 8080), server6(b.netns.get(), b.v6, 8080);
  Udp good(a.netns.get(), a.v4, 4000), good6(a.netns.get(), a.v6, 4000);
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> sent = 0, wrong_sent = 0;
  // One sender keeps a connection over all generations, one begins new ones, one is never allowed.
  std::thread allowed([&] {
    while (!stop) {
      good.send(b.v4, 8080, "good");
      good6.send(b.v6, 8080, "good");
      sent += 2;
      std::this_thread::sleep_for(std::chrono::microseconds(300));
    }
  });
  std::thread fresh([&] {
    while (!stop) {
      Udp once(a.netns.get(), a.v4, 0);
      once.send(b.v4, 8080, "good");
      ++sent;
      std::this_thread::sleep_for(milliseconds(20));
    }
  });
  std::thread denied([&] {
    Udp bad(c.netns.get(), c.v4, 4000), bad6(c.netns.get(), c.v6, 4000);
    while (!stop) {
      bad.send(b.v4, 8080, "bad");
      bad6.send(b.v6, 8080, "bad");
      wrong_sent += 2;
      std::this_thread::sleep_for(std::chrono::microseconds(300));
    }
  });
  uint64_t arrived = 0, wrong = 0;
  std::thread receiver([&] {
    int idle = 0;
    while (idle < 2) {
      bool any = false;
      for (Udp* socket : {&server, &server6}) {
        while (const auto text = socket->receive(0)) {
          any = true;
          (*text == "good" ? arrived : wrong) += 1;
        }
      }
      if (any) {
        idle = 0;
        continue;
      }
      std::this_thread::sleep_for(milliseconds(1));
      if (stop) ++idle;
    }
  });
  const int count = flips();
  const auto ports = lab.ports();
  uint64_t last = 0;
  for (int i = 1; i <= count; ++i) {
    const auto generation = gate->publish(policies[i % 2].get(), ports);
    ASSERT_TRUE(generation) << generation.error().message;
    EXPECT_GT(*generation, last);
    last = *generation;
    if (i % 64 == 0) events();
  }
  stop = true;
  allowed.join();
  fresh.join();
  denied.join();
  std::this_thread::sleep_for(milliseconds(100));
  receiver.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(arrived, sent);
  EXPECT_GT(sent, static_cast<uint64_t>(count));
  EXPECT_GT(wrong_sent, static_cast<uint64_t>(count));
  // Nothing was dropped but what policy denies.
  const auto stats = gate->stats();
  ASSERT_TRUE(stats);
  for (const auto& [reason, packets] : stats->drops)
    EXPECT_EQ(reason, SP_DENY_POLICY) << packets << " packets";
  EXPECT_EQ(stats->drops.at(SP_DENY_POLICY), wrong_sent);
  std::printf("%d flips, %llu datagrams allowed, %llu denied\n", count,
              static_cast<unsigned long long>(sent.load()),
              static_cast<unsigned long long>(wrong_sent.load()));
}

TEST_F(KernelLife, AFailedPublicationLeavesTheGenerationInForce) {
  publish(one_way(lab));
  const auto before = gate->stats()->generation;
  CompiledBuilder many;
  for (uint32_t i = 1; i <= 1025; ++i) many.endpoint(i, {offset_ip(ip("198.18.4.0"), i)}, 0, 0);
  const auto failed = gate->publish(many.get(), {});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Code::kExhausted);
  EXPECT_NE(failed.error().message.find("max_endpoints"), std::string::npos);
  policy::Compiled broken = one_way(lab).get();
  broken.sets[0].default_program = 99;
  EXPECT_FALSE(gate->publish(broken, lab.ports()));
  EXPECT_EQ(gate->stats()->generation, before);
  EXPECT_TRUE(udp(lab.pods[0], lab.pods[1], 8080, false).answered);
  EXPECT_FALSE(udp(lab.pods[2], lab.pods[1], 8080, false).arrived);
}

TEST_F(KernelLife, AGreedyPodFillsOnlyItsShare) {
  ASSERT_TRUE(gate->remove());
  gate.reset();
  GateConfig small = lab.config();
  small.max_connections = 64;
  small.max_connections_per_endpoint = 40;
  open(small);
  publish(nobody_isolated(lab));
  const auto &a = lab.pods[0], &b = lab.pods[1], &c = lab.pods[2];
  for (uint16_t port = 1; port <= 200; ++port) {
    Udp greedy(c.netns.get(), c.v4, static_cast<uint16_t>(20000 + port));
    greedy.send(b.v4, 8080, "x");
  }
  EXPECT_TRUE(udp(a, b, 8080, false, 1000).answered);
  EXPECT_TRUE(tcp(a, b, 8080, true, 1000));
  const auto stats = gate->stats();
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->connections_of.at(3), 32u);  // no more than were free
  EXPECT_EQ(stats->connection_overflows, 168u);
  EXPECT_EQ(stats->drops.at(SP_DENY_QUOTA), 168u);
  EXPECT_EQ(stats->connections_limit, 64u);
  EXPECT_EQ(stats->connections, 34u);
  bool told = false;
  for (const auto& event : events()) told = told || event.reason == SP_DENY_QUOTA;
  EXPECT_TRUE(told);
  // Its entries go when it is forgotten, and room is there again.
  gate->forget_endpoint(3);
  EXPECT_EQ(gate->stats()->connections, 2u);
  EXPECT_TRUE(udp(c, b, 8080, false, 1000).answered);
  const auto rows = gate->connections(100);
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->size(), 3u);
}

TEST_F(KernelLife, UnderPressureHalfOpenConnectionsGoWithoutHelp) {
  ASSERT_TRUE(gate->remove());
  gate.reset();
  GateConfig small = lab.config();
  small.max_connections = 40;
  open(small);
  publish(nobody_isolated(lab));
  const auto &b = lab.pods[1], &c = lab.pods[2];
  for (uint16_t port = 1; port <= 30; ++port) {
    Udp greedy(c.netns.get(), c.v4, static_cast<uint16_t>(20000 + port));
    greedy.send(b.v4, 8080, "x");
  }
  const uint64_t before = gate->stats()->connections;
  EXPECT_EQ(before, 20u);
  // One-way UDP lives 10 s under pressure; no process of ours does anything meanwhile.
  uint64_t after = before;
  for (int i = 0; i < 150 && after == before; ++i) {
    std::this_thread::sleep_for(milliseconds(100));
    after = gate->stats()->connections;
  }
  EXPECT_LT(after, before);
}

TEST_F(KernelLife, AResetEndsTheEntrySoon) {
  publish(nobody_isolated(lab));
  // Nobody listens: the answer is a reset.
  const auto &a = lab.pods[0], &b = lab.pods[1];
  {
    Udp blocker(b.netns.get(), b.v4, 8080);
    EXPECT_TRUE(tcp(a, b, 8080, false));  // and this one ends with FIN and RST at close
  }
  const auto begin = std::chrono::steady_clock::now();
  bool closed = false;
  std::vector<FlowEvent> told;
  while (!closed && std::chrono::steady_clock::now() - begin < std::chrono::seconds(20)) {
    for (const auto& event : events())
      if (event.kind == FlowEvent::Kind::kClosed) {
        told.push_back(event);
        closed = true;
      }
    std::this_thread::sleep_for(milliseconds(100));
  }
  ASSERT_TRUE(closed);
  EXPECT_EQ(told[0].source_endpoint, 1u);
  EXPECT_GE(told[0].packets[0], 2u);
  EXPECT_GE(told[0].packets[1], 1u);
  EXPECT_EQ(gate->stats()->connections, 0u);
}

// The process that opened the gate dies; its gate goes on, and the next process takes it over with
// generation and connections.
TEST(KernelTakeover, AfterTheProcessThatOpenedItDied) {
  Lab lab(3);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto opened = open_gate(lab.config());
    if (!opened) ::_exit(1);
    for (int i = 0; i < 3; ++i)
      if (!(*opened)->publish(one_way(lab).get(), lab.ports())) ::_exit(2);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);

  const auto &a = lab.pods[0], &b = lab.pods[1], &c = lab.pods[2];
  Udp client(a.netns.get(), a.v4, 4000), server(b.netns.get(), b.v4, 8080);
  const auto passes = [&] {
    client.send(b.v4, 8080, "x");
    return server.receive(1000).has_value();
  };
  EXPECT_TRUE(passes());
  EXPECT_FALSE(probe_udp(c.netns.get(), c.v6, b.netns.get(), b.v6, 8080).arrived);

  // Expiry goes on without any process: a connection that has ended leaves the table.
  EXPECT_TRUE(probe_tcp(a.netns.get(), a.v6, b.netns.get(), b.v6, 8080, 1000));
  const auto entries = [&] {
    const auto totals = Pins::open(lab.pin_dir)->get("totals");
    const uint32_t zero = 0;
    sp_totals value{};
    EXPECT_TRUE(totals);
    EXPECT_EQ(::bpf_map_lookup_elem(totals->get(), &zero, &value), 0);
    return value.connections;
  };
  EXPECT_EQ(entries(), 2u);
  for (int i = 0; i < 200 && entries() == 2; ++i) std::this_thread::sleep_for(milliseconds(100));
  EXPECT_EQ(entries(), 1u);

  const auto links_of_first = objects_of(lab).links;
  auto opened = open_gate(lab.config());
  ASSERT_TRUE(opened) << opened.error().message;
  auto& gate = **opened;
  EXPECT_EQ(objects_of(lab).links, links_of_first);  // the very same links
  EXPECT_EQ(gate.stats()->generation, 4u);
  EXPECT_EQ(gate.stats()->connections, 1u);
  // What happened in between was kept.
  int kept = 0;
  gate.drain_events([&](const FlowEvent&) { ++kept; });
  EXPECT_GE(kept, 2);
  EXPECT_TRUE(passes());
  const auto next = gate.publish(one_way(lab).get(), lab.ports());
  ASSERT_TRUE(next);
  EXPECT_EQ(*next, 5u);
  EXPECT_TRUE(passes());
  EXPECT_EQ(gate.stats()->connections, 1u);

  const Objects ours = objects_of(lab);
  EXPECT_GT(ours.maps.size(), 20u);
  EXPECT_TRUE(gate.remove());
  EXPECT_TRUE(probe_udp(c.netns.get(), c.v6, b.netns.get(), b.v6, 8080, 1000).answered);
  opened->reset();
  // Nothing is left in the kernel.
  size_t left = 1;
  for (int i = 0; i < 100 && left != 0; ++i) {
    left = alive(ours.maps, ::bpf_map_get_fd_by_id) +
           alive(ours.programs, ::bpf_prog_get_fd_by_id) +
           alive(ours.links, ::bpf_link_get_fd_by_id);
    if (left != 0) std::this_thread::sleep_for(milliseconds(100));
  }
  EXPECT_EQ(left, 0u);
  EXPECT_TRUE(list_dir(lab.pin_dir)->empty());
}

// Another program over the same tables takes the other priority, with no packet let through.
TEST_F(KernelLife, AnotherProgramIsUpgradedWithoutAGap) {
  publish(one_way(lab));
  const auto before = objects_of(lab).links;
  {
    // What an older version would have left: another hash.
    auto pins = Pins::open(lab.pin_dir);
    ASSERT_TRUE(pins);
    const auto meta = pins->get("meta");
    ASSERT_TRUE(meta);
    const uint32_t zero = 0;
    const sp_meta old{kLayoutVersion, 0, 12345};
    ASSERT_EQ(::bpf_map_update_elem(meta->get(), &zero, &old, 0), 0);
  }
  const auto &a = lab.pods[0], &b = lab.pods[1], &c = lab.pods[2];
  Udp client(a.netns.get(), a.v4, 4000), server(b.netns.get(), b.v4, 8080);
  client.send(b.v4, 8080, "good");
  ASSERT_EQ(server.receive(1000), "good");
  std::atomic<bool> stop = false;
  std::thread denied([&] {
    Udp bad(c.netns.get(), c.v4, 4000);
    while (!stop) {
      bad.send(b.v4, 8080, "bad");
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  });
  for (int i = 0; i < 3; ++i) {
    gate.reset();
    open(lab.config());
    auto pins = Pins::open(lab.pin_dir);
    const uint32_t zero = 0;
    const sp_meta old{kLayoutVersion, 0, 12345};
    ASSERT_EQ(::bpf_map_update_elem(pins->get("meta")->get(), &zero, &old, 0), 0);
  }
  stop = true;
  denied.join();
  EXPECT_FALSE(server.receive(100)) << "a denied datagram passed during an upgrade";
  client.send(b.v4, 8080, "good");
  EXPECT_EQ(server.receive(1000), "good");
  const auto after = objects_of(lab).links;
  EXPECT_EQ(after.size(), 4u);
  EXPECT_EQ(alive(before, ::bpf_link_get_fd_by_id), 0u);
  for (const uint32_t id : before) EXPECT_FALSE(after.contains(id));
}

TEST_F(KernelLife, AnotherLayoutIsRefusedWithBothNames) {
  gate.reset();
  ASSERT_EQ(::mkdir((lab.pin_dir + "/layout-77").c_str(), 0700), 0);
  const auto opened = open_gate(lab.config());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kConflict);
  EXPECT_NE(opened.error().message.find("layout 77"), std::string::npos);
  EXPECT_NE(opened.error().message.find("layout " + std::to_string(kLayoutVersion)),
            std::string::npos);
  ASSERT_EQ(::rmdir((lab.pin_dir + "/layout-77").c_str()), 0);
  open(lab.config());
}

TEST_F(KernelLife, WhatIsHalfMadeIsMadeAnew) {
  publish(one_way(lab));
  gate.reset();
  // As if the process had died before its last pin.
  ASSERT_EQ(::unlink((lab.pin_dir + "/layout-" + std::to_string(kLayoutVersion) + "/meta").c_str()),
            0);
  open(lab.config());
  EXPECT_EQ(gate->stats()->generation, 1u);
  EXPECT_FALSE(udp(lab.pods[0], lab.pods[1], 8080, false).arrived);
  publish(one_way(lab));
  EXPECT_TRUE(udp(lab.pods[0], lab.pods[1], 8080, false).answered);
}

TEST_F(KernelLife, ADirectoryThatIsNoBpffsIsRefused) {
  GateConfig config = lab.config();
  config.pin_dir = "/tmp";
  const auto opened = open_gate(config);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kInvalid);
}

}  // namespace

}  // namespace sallyport::gate
