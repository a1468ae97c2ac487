// The fleet against processes that behave and misbehave as the test wants: this very program,
// started a second time as "proxy".
#include "standalone/proxy_fleet.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "base/fs.h"
#include "net/netns.h"

namespace sallyport::standalone {
namespace {

// Does what a proxy does at its channel, and nothing else. What it was told comes back as status:
// one line for each message.
[[noreturn]] void fake_proxy(const std::string& manner) {
  mesh::Channel channel{Fd(kProxyChannelFd)};
  std::string heard = "uid " + std::to_string(::getuid()) + "\n";
  std::unique_ptr<telemetry::FlowRing> ring;
  if (manner == "--die") ::_exit(3);
  while (true) {
    pollfd wait{channel.fd(), POLLIN, 0};
    ::poll(&wait, 1, -1);
    auto message = channel.receive_to_proxy();
    if (!message && message.error().code == Code::kUnavailable) continue;
    if (!message) ::_exit(0);
    if (auto* config = std::get_if<mesh::ConfigMessage>(&*message)) {
      heard += "config " + *mesh::from_memfd(config->content, 1000) + "\n";
      if (manner == "--slow") ::usleep(300'000);
      if (manner == "--refuse")
        (void)channel.send(mesh::ToNode(mesh::RefusedMessage{config->generation, "not today"}));
      else
        (void)channel.send(mesh::ToNode(mesh::ReadyMessage{config->generation}));
      if (manner == "--garbage") (void)!::send(channel.fd(), "nonsense", 8, MSG_NOSIGNAL);
    } else if (auto* pod = std::get_if<mesh::PodMessage>(&*message)) {
      heard += "pod " + pod->uid + "\n";
      for (const char* uid : {pod->uid.c_str(), "somebody-elses"})
        (void)channel.send(
            mesh::ToNode(mesh::NeedSockets{uid, mesh::SocketKind::kToApp, Family::kV4, 3}));
    } else if (auto* gone = std::get_if<mesh::PodGoneMessage>(&*message)) {
      heard += "gone " + gone->uid + "\n";
    } else if (auto* sockets = std::get_if<mesh::SocketsMessage>(&*message)) {
      heard += "sockets " + sockets->uid + " " + std::to_string(sockets->sockets.size()) + "\n";
    } else if (auto* svid = std::get_if<mesh::SvidMessage>(&*message)) {
      heard += "svid " + svid->id + "\n";
    } else if (auto* log = std::get_if<mesh::AccessLogMessage>(&*message)) {
      heard += log->file ? "log\n" : "no log\n";
    } else if (auto* flows = std::get_if<mesh::FlowRingMessage>(&*message)) {
      auto opened = telemetry::FlowRing::open(std::move(flows->ring));
      if (!opened) ::_exit(4);
      ring = std::move(*opened);
      telemetry::FlowRecord record;
      record.time_ns = 77;
      ring->push(record);
    } else if (auto* metrics = std::get_if<mesh::MetricsRequest>(&*message)) {
      if (manner == "--mute") continue;
      auto text = mesh::to_memfd("a 1\n", "test");
      (void)channel.send(mesh::ToNode(mesh::MetricsAnswer{metrics->number, std::move(*text)}));
    } else if (auto* status = std::get_if<mesh::StatusRequest>(&*message)) {
      auto text = mesh::to_memfd(heard, "test");
      (void)channel.send(mesh::ToNode(mesh::StatusAnswer{status->number, std::move(*text)}));
    }
  }
}

// Before main: this process may be the proxy.
const bool kIsProxy = [] {
  auto text = read_file("/proc/self/cmdline");
  if (!text) return false;
  std::vector<std::string> words;
  for (size_t at = 0; at < text->size();) {
    words.emplace_back(text->c_str() + at);
    at += words.back().size() + 1;
  }
  if (words.size() < 2 || words[1] != "proxy") return false;
  fake_proxy(words.back());
}();

class FakeAuthority : public identity::Authority {
 public:
  Result<identity::Svid> issue(const identity::SpiffeId& id, std::chrono::seconds ttl,
                               WallTime now) override {
    identity::Svid svid;
    svid.id = id;
    svid.serial = std::to_string(++count);
    svid.certificate_der = "c";
    svid.key_der = "k";
    svid.not_before = now;
    svid.not_after = now + ttl;
    return svid;
  }
  [[nodiscard]] const std::string& root_der() const override { return root_; }
  [[nodiscard]] const std::string& trust_domain() const override { return domain_; }
  std::atomic<int> count = 0;

 private:
  std::string domain_ = "cluster.local", root_ = "root";
};

class Fleet : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(kIsProxy || true);
    auto ns = net::create_netns();
    ASSERT_TRUE(ns);
    netns_ = std::make_shared<const Fd>(std::move(*ns));
    auto listeners = capture::make_listeners(netns_->get());
    ASSERT_TRUE(listeners) << listeners.error().message;
    listeners_ = std::make_shared<const capture::Listeners>(std::move(*listeners));
    auto marks = capture::draw_marks();
    ASSERT_TRUE(marks);
    marks_ = *marks;
  }

  void start(const std::string& manner, std::chrono::seconds ttl = std::chrono::hours(1)) {
    ProxyFleet::Options options;
    options.proxy.arguments = {manner};
    options.svid_ttl = ttl;
    auto fleet = ProxyFleet::start(std::move(options), clock_);
    ASSERT_TRUE(fleet) << fleet.error().message;
    fleet_ = std::move(*fleet);
  }

  FleetState state(const std::vector<std::string>& uids, uint64_t generation,
                   const std::string& group = "node") {
    FleetState out;
    out.authority = authority_;
    auto config = mesh::to_memfd("c" + std::to_string(generation), "test");
    FleetGroup& its = out.groups[group];
    its.generation = generation;
    its.config = std::make_shared<const Fd>(std::move(*config));
    for (const std::string& uid : uids) {
      auto id = identity::workload_id("cluster.local", "ns", uid);
      out.identities.insert(id);
      its.pods[uid] = {id.to_string(), netns_, listeners_, marks_};
    }
    return out;
  }

  std::string heard(const std::string& group = "node") {
    auto answers = fleet_->status(std::chrono::seconds(5));
    return answers.contains(group) ? answers[group] : "";
  }
  // Waits until it has heard that.
  std::string until_heard(const std::string& what) {
    std::string text;
    for (int i = 0; i < 500; ++i) {
      text = heard();
      if (text.find(what) != std::string::npos) return text;
      ::usleep(10'000);
    }
    ADD_FAILURE() << "never heard \"" << what << "\" but:\n" << text;
    return text;
  }
  static size_t count(const std::string& text, const std::string& what) {
    size_t n = 0;
    for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
    return n;
  }

  SystemClock clock_;
  std::shared_ptr<FakeAuthority> authority_ = std::make_shared<FakeAuthority>();
  std::shared_ptr<const Fd> netns_;
  std::shared_ptr<const capture::Listeners> listeners_;
  capture::Marks marks_;
  std::unique_ptr<ProxyFleet> fleet_;
};

constexpr auto kLong = std::chrono::seconds(20);

TEST_F(Fleet, TellsWhatIsNeededAndGivesSocketsOfServedPodsOnly) {
  start("--well");
  fleet_->set(state({"u1"}, 5));
  EXPECT_TRUE(fleet_->wait_ready(kLong).empty());
  std::string text = until_heard("sockets u1 3\n");
  EXPECT_EQ(text.find("uid 64001\n"), 0U) << text;
  // In this order: once the configuration is in force, nothing that it needs is missing.
  size_t svid = text.find("svid spiffe://cluster.local/ns/ns/sa/u1\n");
  size_t pod = text.find("pod u1\n"), config = text.find("config c5\n");
  EXPECT_LT(svid, pod);
  EXPECT_LT(pod, config);
  EXPECT_NE(text.find("no log\n"), std::string::npos);
  EXPECT_EQ(text.find("somebody-elses"), std::string::npos);
  EXPECT_EQ(fleet_->metrics(kLong).at("node"), "a 1\n");

  // Only what is new is told.
  fleet_->set(state({"u1", "u2"}, 6));
  EXPECT_TRUE(fleet_->wait_ready(kLong).empty());
  text = until_heard("sockets u2 3\n");
  EXPECT_EQ(count(text, "pod u1\n"), 1U);
  EXPECT_EQ(count(text, "svid"), 2U);
  fleet_->set(state({"u2"}, 7));
  EXPECT_TRUE(fleet_->wait_ready(kLong).empty());
  text = until_heard("gone u1\n");
  EXPECT_EQ(fleet_->certificates().size(), 1U);
  ASSERT_EQ(fleet_->proxies().size(), 1U);
  EXPECT_EQ(fleet_->proxies()[0].in_force, 7U);
}

TEST_F(Fleet, AKilledProxyIsBackWithinASecondAndIsToldAgain) {
  start("--well");
  fleet_->set(state({"u1"}, 5));
  ASSERT_TRUE(fleet_->wait_ready(kLong).empty());
  for (int round = 0; round < 3; ++round) {
    pid_t pid = fleet_->proxies().at(0).pid;
    ASSERT_GT(pid, 0);
    auto began = clock_.now();
    ::kill(pid, SIGKILL);
    while (fleet_->proxies().at(0).pid == pid || fleet_->proxies().at(0).in_force != 5) {
      ASSERT_LT(clock_.now() - began, std::chrono::seconds(10));
      ::usleep(2'000);
    }
    // Its successor was started, and told; a sanitized program takes a moment to begin.
    EXPECT_LT(clock_.now() - began, std::chrono::seconds(3));
    EXPECT_NE(until_heard("pod u1\n").find("config c5\n"), std::string::npos);
  }
  EXPECT_EQ(fleet_->proxies().at(0).restarts, 3U);
  EXPECT_EQ(fleet_->counts().restarts, 3U);
}

TEST_F(Fleet, WhatRefusesOrDiesOrTalksNonsenseIsNamed) {
  for (auto [manner, why] : {std::pair("--refuse", "not today"), {"--die", "ended with 3"}}) {
    start(manner);
    fleet_->set(state({"u1"}, 5));
    std::string text;
    for (int i = 0; i < 300 && text.find(why) == std::string::npos; ++i) {
      text = fleet_->wait_ready(std::chrono::seconds(2))["node"];
      ::usleep(10'000);
    }
    EXPECT_NE(text.find(why), std::string::npos) << text;
    fleet_.reset();
  }
  start("--garbage");
  fleet_->set(state({"u1"}, 5));
  for (int i = 0; i < 500 && fleet_->counts().restarts < 2; ++i) ::usleep(10'000);
  EXPECT_GE(fleet_->counts().restarts, 2U);
}

// A thousand changes while it compiles are one more.
TEST_F(Fleet, ABusyProxyIsToldTheNewestOnly) {
  start("--slow");
  for (uint64_t generation = 5; generation < 15; ++generation) {
    fleet_->set(state({"u1"}, generation));
    ::usleep(10'000);
  }
  EXPECT_TRUE(fleet_->wait_ready(kLong).empty());
  std::string text = until_heard("config c14\n");
  EXPECT_LE(count(text, "config"), 4U) << text;
}

TEST_F(Fleet, SilenceIsNotWaitedForForever) {
  start("--mute");
  fleet_->set(state({"u1"}, 5));
  ASSERT_TRUE(fleet_->wait_ready(kLong).empty());
  auto began = clock_.now();
  EXPECT_TRUE(fleet_->metrics(std::chrono::milliseconds(100)).empty());
  EXPECT_LT(clock_.now() - began, std::chrono::seconds(5));
  EXPECT_FALSE(heard().empty());
}

TEST_F(Fleet, CertificatesAreRenewedAndHandedOver) {
  start("--well", std::chrono::seconds(2));
  fleet_->set(state({"u1"}, 5));
  ASSERT_TRUE(fleet_->wait_ready(kLong).empty());
  std::string text;
  for (int i = 0; i < 1000 && count(text, "svid") < 3; ++i) {
    text = heard();
    ::usleep(10'000);
  }
  EXPECT_GE(count(text, "svid"), 3U) << text;
  EXPECT_GE(fleet_->counts().issued, 3U);
}

TEST_F(Fleet, FlowRecordsAreCollectedAlsoOfAProcessThatIsGone) {
  start("--well");
  fleet_->set(state({"u1"}, 5));
  ASSERT_TRUE(fleet_->wait_ready(kLong).empty());
  ::kill(fleet_->proxies().at(0).pid, SIGKILL);
  for (int i = 0; i < 1000 && fleet_->counts().restarts == 0; ++i) ::usleep(5'000);
  for (int i = 0; i < 1000 && !fleet_->wait_ready(kLong).empty(); ++i) ::usleep(5'000);
  heard();
  size_t seen = 0;
  for (int i = 0; i < 500 && seen < 2; ++i) {
    fleet_->drain_flows(100, [&](const telemetry::FlowRecord& record) {
      EXPECT_EQ(record.time_ns, 77U);
      ++seen;
    });
    ::usleep(5'000);
  }
  EXPECT_EQ(seen, 2U);
}

TEST_F(Fleet, GroupsHaveProcessesOfTheirOwnAndTheLastPodEndsThem) {
  start("--well");
  FleetState both = state({"u1"}, 5, "ns/a");
  both.groups["ns/b"] = state({"u2"}, 5).groups["node"];
  both.identities.insert(identity::workload_id("cluster.local", "ns", "u2"));
  fleet_->set(both);
  ASSERT_TRUE(fleet_->wait_ready(kLong).empty());
  auto proxies = fleet_->proxies();
  ASSERT_EQ(proxies.size(), 2U);
  EXPECT_NE(proxies[0].pid, proxies[1].pid);
  EXPECT_EQ(heard("ns/a").find("u2"), std::string::npos) << "another group's pod or key";
  fleet_->set(state({"u1"}, 6, "ns/a"));
  ASSERT_TRUE(fleet_->wait_ready(kLong).empty());
  EXPECT_EQ(fleet_->proxies().size(), 1U);
  for (int i = 0; i < 1000 && process_start_time(proxies[1].pid); ++i) ::usleep(10'000);
  EXPECT_FALSE(process_start_time(proxies[1].pid));
  pid_t last = fleet_->proxies().at(0).pid;
  fleet_.reset();
  EXPECT_FALSE(process_start_time(last));
}

}  // namespace
}  // namespace sallyport::standalone
