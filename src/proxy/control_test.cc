#include "proxy/control.h"

#include <poll.h>
#include <sys/socket.h>

#include "codec/base64.h"
#include "codec/json.h"
#include "proxy/test_pair.h"

namespace sallyport::proxy::testing {
namespace {

// The node's side of the channel against a control thread with a real worker.
class ControlTest : public PairTest {
 protected:
  void SetUp() override {
    PairTest::SetUp();
    int fds[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    node_ = std::make_unique<mesh::Channel>(Fd(fds[0]));
    mailbox_ = ControlMailbox::create().value();
    for (size_t i = 0; i < 2; ++i) {
      WorkerRequests requests;
      requests.sockets = [this, i](const std::string& uid, mesh::SocketKind kind, Family family,
                                   int count) { mailbox_->ask({i, uid, kind, family, count}); };
      workers_.push_back(
          Worker::create(clock_, network_, limits_, std::move(requests), i + 1).value());
      all_.push_back(workers_.back().get());
      threads_.emplace_back([worker = all_.back()] { worker->loop().run(); });
    }
    control_ = std::make_unique<Control>(mesh::Channel(Fd(fds[1])), *mailbox_, all_);
    control_thread_ = std::thread([this] { ended_ = control_->run(); });
  }
  void TearDown() override {
    node_.reset();
    control_thread_.join();
    EXPECT_TRUE(ended_) << ended_.error().message;  // the channel's end is no error
    for (auto& worker : workers_) worker->loop().stop();
    for (auto& thread : threads_) thread.join();
    control_.reset();
    workers_.clear();
    PairTest::TearDown();
  }

  // The next message that is not a wish for sockets; those are kept.
  mesh::ToNode next_message() {
    for (int i = 0; i < 1000; ++i) {
      pollfd wait{node_->fd(), POLLIN, 0};
      ::poll(&wait, 1, 10);
      auto message = node_->receive_to_node();
      if (!message) continue;
      if (auto* need = std::get_if<mesh::NeedSockets>(&*message)) {
        needs_.push_back(*need);
        continue;
      }
      return std::move(*message);
    }
    ADD_FAILURE() << "no message came";
    return mesh::ReadyMessage{};
  }
  void send_config(const mesh::ProxyConfig& config) {
    mesh::ConfigMessage message;
    message.generation = config.generation;
    message.content = mesh::to_memfd(mesh::encode(config), "config").value();
    ASSERT_TRUE(node_->send(mesh::ToProxy(std::move(message))));
  }
  void send_pod(const std::string& uid) {
    mesh::PodMessage message;
    message.uid = uid;
    message.outbound4 = listen_on_loopback();
    message.outbound6 = listen_on_loopback();
    message.inbound4 = listen_on_loopback();
    message.inbound6 = listen_on_loopback();
    ASSERT_TRUE(node_->send(mesh::ToProxy(std::move(message))));
  }
  std::string ask(const mesh::ToProxy& request) {
    EXPECT_TRUE(node_->send(request));
    mesh::ToNode answer = next_message();
    if (auto* metrics = std::get_if<mesh::MetricsAnswer>(&answer)) {
      EXPECT_EQ(metrics->number, 7U);
      return mesh::from_memfd(metrics->content, 8 << 20).value();
    }
    if (auto* status = std::get_if<mesh::StatusAnswer>(&answer)) {
      EXPECT_EQ(status->number, 8U);
      return mesh::from_memfd(status->content, 8 << 20).value();
    }
    ADD_FAILURE() << "another message";
    return {};
  }

  KernelNetwork network_;
  std::unique_ptr<mesh::Channel> node_;
  std::unique_ptr<ControlMailbox> mailbox_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Worker*> all_;
  std::vector<std::thread> threads_;
  std::unique_ptr<Control> control_;
  std::thread control_thread_;
  Status ended_;
  std::vector<mesh::NeedSockets> needs_;
};

TEST_F(ControlTest, ConfigurationsComeIntoForceOrAreRefused) {
  send_config(config("uid-client"));
  const mesh::ToNode first = next_message();
  ASSERT_TRUE(std::holds_alternative<mesh::ReadyMessage>(first));
  EXPECT_EQ(std::get<mesh::ReadyMessage>(first).generation, 1U);

  mesh::ProxyConfig wrong = config("uid-client");
  wrong.local_pods = {"uid-nobody"};
  send_config(wrong);
  const mesh::ToNode second = next_message();
  ASSERT_TRUE(std::holds_alternative<mesh::RefusedMessage>(second));
  EXPECT_EQ(std::get<mesh::RefusedMessage>(second).generation, 2U);
  EXPECT_NE(std::get<mesh::RefusedMessage>(second).why.find("uid-nobody"), std::string::npos);

  mesh::ProxyConfig old = config("uid-client");
  old.generation = 1;
  send_config(old);
  EXPECT_TRUE(std::holds_alternative<mesh::RefusedMessage>(next_message()));

  mesh::ConfigMessage garbage;
  garbage.generation = 9;
  garbage.content = mesh::to_memfd("{\"schema\":", "config").value();
  ASSERT_TRUE(node_->send(mesh::ToProxy(std::move(garbage))));
  EXPECT_TRUE(std::holds_alternative<mesh::RefusedMessage>(next_message()));

  // The last good one stays.
  const codec::Value status = codec::parse_json(ask(mesh::ToProxy(mesh::StatusRequest{8}))).value();
  EXPECT_EQ(status["generation"].as_int(), 1);
}

TEST_F(ControlTest, PodsAskForSocketsAndGetThem) {
  send_pod("uid-client");
  send_config(config("uid-client"));
  EXPECT_TRUE(std::holds_alternative<mesh::ReadyMessage>(next_message()));
  // Each worker wants each kind in each family.
  for (int i = 0; i < 500 && needs_.size() < 8; ++i) {
    ask(mesh::ToProxy(mesh::StatusRequest{8}));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ASSERT_EQ(needs_.size(), 8U);
  for (const mesh::NeedSockets& need : needs_) {
    EXPECT_EQ(need.uid, "uid-client");
    mesh::SocketsMessage message;
    message.uid = need.uid;
    message.kind = need.kind;
    message.family = need.family;
    for (int i = 0; i < need.count; ++i) message.sockets.push_back(tcp_socket());
    ASSERT_TRUE(node_->send(mesh::ToProxy(std::move(message))));
  }
  ask(mesh::ToProxy(mesh::StatusRequest{8}));
  for (Worker* worker : all_) {
    std::promise<size_t> sizes;
    worker->loop().post([&] {
      Pod& pod = *worker->pods().at("uid-client");
      size_t sum = 0;
      for (auto kind : {mesh::SocketKind::kOutbound, mesh::SocketKind::kToApp})
        for (auto family : {Family::kV4, Family::kV6}) sum += pod.sockets(kind, family).size();
      sizes.set_value(sum);
    });
    EXPECT_EQ(sizes.get_future().get(), 4U * SocketStock::kBatch);
  }
  ASSERT_TRUE(node_->send(mesh::ToProxy(mesh::PodGoneMessage{"uid-client"})));
  const codec::Value status = codec::parse_json(ask(mesh::ToProxy(mesh::StatusRequest{8}))).value();
  EXPECT_TRUE(status["pods"].members().empty());
}

TEST_F(ControlTest, CertificatesAndMetricsAreShown) {
  send_pod("uid-client");
  send_config(config("uid-client"));
  EXPECT_TRUE(std::holds_alternative<mesh::ReadyMessage>(next_message()));
  const identity::SpiffeId id = identity::workload_id("cluster.local", "ai", "client");
  const identity::Svid issued = authority_->issue(id, std::chrono::hours(1), clock_.wall()).value();
  codec::Value svid = codec::Value::map();
  svid.set("id", id.to_string());
  svid.set("chain", codec::Value::list())
      .push(codec::Value::string(codec::encode_base64(issued.certificate_der)));
  svid.set("key", codec::encode_base64(issued.key_der));
  const auto seconds = [](WallTime time) {
    return codec::Value::integer(
        std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count());
  };
  svid.set("notBefore", seconds(issued.not_before));
  svid.set("notAfter", seconds(issued.not_after));
  svid.set("roots", codec::Value::map())
      .set("cluster.local", codec::Value::list())
      .push(codec::Value::string(codec::encode_base64(authority_->root_der())));
  mesh::SvidMessage message;
  message.id = id.to_string();
  message.content = mesh::to_memfd(codec::write_json(svid), "svid").value();
  ASSERT_TRUE(node_->send(mesh::ToProxy(std::move(message))));
  const codec::Value status = codec::parse_json(ask(mesh::ToProxy(mesh::StatusRequest{8}))).value();
  EXPECT_EQ(status["pods"]["uid-client"]["identity"].as_string(), id.to_string());
  EXPECT_EQ(status["workers"].as_int(), 2);
  const std::string metrics = ask(mesh::ToProxy(mesh::MetricsRequest{7}));
  EXPECT_NE(metrics.find(id.to_string()), std::string::npos);
  EXPECT_NE(metrics.find("sallyport_mesh_"), std::string::npos);
}

TEST(SvidTest, RefusesWhatItCannotUse) {
  for (const char* text :
       {"", "[]", "{}", R"({"id":"spiffe://td/ns/a/sa/b"})",
        R"({"id":"spiffe://td/ns/a/sa/b","chain":["AA=="],"key":"AA=="})",
        R"({"id":"spiffe://td/ns/a/sa/b","chain":["!"],"key":"AA==","notBefore":1,"notAfter":2})",
        R"({"id":"spiffe://td/ns/a/sa/b","chain":["AA=="],"key":"AA==","notBefore":1,)"
        R"("notAfter":2,"roots":{"other":["AA=="]}})",
        R"({"id":"http://td/x","chain":["AA=="],"key":"AA==","notBefore":1,"notAfter":2,)"
        R"("roots":{"td":["AA=="]}})"})
    EXPECT_FALSE(parse_svid(text)) << text;
  EXPECT_TRUE(parse_svid(R"({"id":"spiffe://td/ns/a/sa/b","chain":["AA=="],"key":"AA==",)"
                         R"("notBefore":1,"notAfter":2,"roots":{"td":["AA=="]}})"));
}

}  // namespace
}  // namespace sallyport::proxy::testing
