#include "mesh/channel.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include "base/fs.h"
#include "mesh/messages.h"

namespace sallyport::mesh {
namespace {

Fd some_fd() {
  return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

size_t descriptor_count() {
  auto names = list_dir("/proc/self/fd");
  return names ? names->size() : 0;
}

class ChannelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto ends = make_channel();
    ASSERT_TRUE(ends) << ends.error().message;
    node_ = std::make_unique<Channel>(std::move(ends->first));
    proxy_ = std::make_unique<Channel>(std::move(ends->second));
  }

  template <class T>
  T to_proxy(ToProxy message) {
    Status sent = node_->send(message);
    EXPECT_TRUE(sent) << sent.error().message;
    auto got = proxy_->receive_to_proxy();
    EXPECT_TRUE(got) << got.error().message;
    EXPECT_TRUE(got && std::holds_alternative<T>(*got));
    return got ? std::move(std::get<T>(*got)) : T();
  }
  template <class T>
  T to_node(ToNode message) {
    Status sent = proxy_->send(message);
    EXPECT_TRUE(sent) << sent.error().message;
    auto got = node_->receive_to_node();
    EXPECT_TRUE(got) << got.error().message;
    EXPECT_TRUE(got && std::holds_alternative<T>(*got));
    return got ? std::move(std::get<T>(*got)) : T();
  }
  // As a peer that keeps to no format.
  void send_raw(const std::string& text, int fds = 0) {
    msghdr message{};
    iovec part{const_cast<char*>(text.data()), text.size()};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    std::vector<char> control(CMSG_SPACE(sizeof(int) * static_cast<size_t>(fds)));
    Fd fd = some_fd();
    if (fds > 0) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int) * static_cast<size_t>(fds));
      for (int i = 0; i < fds; ++i) {
        int raw = fd.get();
        std::memcpy(CMSG_DATA(header) + static_cast<size_t>(i) * sizeof(int), &raw, sizeof raw);
      }
    }
    ASSERT_GE(::sendmsg(proxy_->fd(), &message, MSG_NOSIGNAL), 0) << std::strerror(errno);
  }

  std::unique_ptr<Channel> node_, proxy_;
};

TEST_F(ChannelTest, EveryMessageArrives) {
  auto config = to_proxy<ConfigMessage>(ConfigMessage{7, some_fd()});
  EXPECT_EQ(config.generation, 7U);
  EXPECT_TRUE(config.content);

  PodMessage pod{"uid-1", some_fd(), some_fd(), some_fd(), some_fd()};
  auto got_pod = to_proxy<PodMessage>(std::move(pod));
  EXPECT_EQ(got_pod.uid, "uid-1");
  EXPECT_TRUE(got_pod.outbound4 && got_pod.outbound6 && got_pod.inbound4 && got_pod.inbound6);
  EXPECT_EQ(to_proxy<PodGoneMessage>(PodGoneMessage{"uid-2"}).uid, "uid-2");

  SocketsMessage sockets{"uid-1", SocketKind::kToApp, Family::kV6, {}};
  for (size_t i = 0; i < kMostDescriptors; ++i) sockets.sockets.push_back(some_fd());
  auto got = to_proxy<SocketsMessage>(std::move(sockets));
  EXPECT_EQ(got.uid, "uid-1");
  EXPECT_EQ(got.kind, SocketKind::kToApp);
  EXPECT_EQ(got.family, Family::kV6);
  EXPECT_EQ(got.sockets.size(), kMostDescriptors);

  EXPECT_EQ(to_proxy<SvidMessage>(SvidMessage{"spiffe://a/ns/b/sa/c", some_fd()}).id,
            "spiffe://a/ns/b/sa/c");
  EXPECT_EQ(to_proxy<MetricsRequest>(MetricsRequest{5}).number, 5U);
  EXPECT_EQ(to_proxy<StatusRequest>(StatusRequest{6}).number, 6U);
  EXPECT_TRUE(to_proxy<AccessLogMessage>(AccessLogMessage{some_fd()}).file);
  EXPECT_FALSE(to_proxy<AccessLogMessage>(AccessLogMessage{}).file);
  EXPECT_EQ(to_proxy<FlowRingMessage>(FlowRingMessage{3, some_fd()}).worker, 3);

  EXPECT_EQ(to_node<ReadyMessage>(ReadyMessage{8}).generation, 8U);
  auto refused = to_node<RefusedMessage>(RefusedMessage{9, "pods[3]: \"no\" such thing\n"});
  EXPECT_EQ(refused.generation, 9U);
  EXPECT_EQ(refused.why, "pods[3]: \"no\" such thing\n");
  auto need = to_node<NeedSockets>(NeedSockets{"u", SocketKind::kOutbound, Family::kV4, 64});
  EXPECT_EQ(need.uid, "u");
  EXPECT_EQ(need.count, 64);
  EXPECT_EQ(to_node<MetricsAnswer>(MetricsAnswer{1, some_fd()}).number, 1U);
  EXPECT_EQ(to_node<StatusAnswer>(StatusAnswer{2, some_fd()}).number, 2U);
}

TEST_F(ChannelTest, ReceivedDescriptorsAreCloseOnExec) {
  auto got = to_proxy<AccessLogMessage>(AccessLogMessage{some_fd()});
  EXPECT_TRUE(::fcntl(got.file.get(), F_GETFD) & FD_CLOEXEC);
}

TEST_F(ChannelTest, NothingThereFullAndGone) {
  EXPECT_EQ(node_->receive_to_node().error().code, Code::kUnavailable);
  Status sent;
  int count = 0;
  for (; count < 1'000'000 && (sent = node_->send(ToProxy(PodGoneMessage{"u"}))); ++count) {
  }
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, Code::kUnavailable);
  for (int i = 0; i < count; ++i) ASSERT_TRUE(proxy_->receive_to_proxy());
  EXPECT_TRUE(node_->send(ToProxy(PodGoneMessage{"u"})));
  proxy_.reset();
  EXPECT_EQ(node_->receive_to_node().error().code, Code::kNotFound);
  EXPECT_EQ(node_->send(ToProxy(PodGoneMessage{"u"})).error().code, Code::kNotFound);
}

TEST_F(ChannelTest, TooLargeIsNotSent) {
  SocketsMessage sockets{"uid-1", SocketKind::kToApp, Family::kV6, {}};
  for (size_t i = 0; i <= kMostDescriptors; ++i) sockets.sockets.push_back(some_fd());
  EXPECT_EQ(node_->send(ToProxy(std::move(sockets))).error().code, Code::kInvalid);
  EXPECT_EQ(node_->send(ToProxy(PodGoneMessage{std::string(70'000, 'x')})).error().code,
            Code::kInvalid);
  // A reason of any length is cut instead: the refusal itself must arrive.
  auto refused = to_node<RefusedMessage>(RefusedMessage{1, std::string(200'000, '\x01')});
  EXPECT_GT(refused.why.size(), 1000U);
}

TEST_F(ChannelTest, RefusesWhatIsNoMessageAndLeaksNothing) {
  size_t before = descriptor_count();
  struct Case {
    std::string text;
    int fds;
  };
  for (const Case& c : std::vector<Case>{
           {"x", 0},
           {"{}", 2},
           {"[]", 0},
           {R"({"type":"nonsense"})", 1},
           {R"({"type":"ready"})", 0},
           {R"({"type":"ready","generation":-1})", 0},
           {R"({"type":"ready","generation":"1"})", 0},
           {R"({"type":"ready","generation":1})", 1},
           {R"({"type":"refused","generation":1})", 0},
           {R"({"type":"needSockets","uid":"","kind":"toApp","family":4,"count":1})", 0},
           {R"({"type":"needSockets","uid":"u","kind":"x","family":4,"count":1})", 0},
           {R"({"type":"needSockets","uid":"u","kind":"toApp","family":5,"count":1})", 0},
           {R"({"type":"needSockets","uid":"u","kind":"toApp","family":4,"count":0})", 0},
           {R"({"type":"needSockets","uid":"u","kind":"toApp","family":4,"count":9999999})", 0},
           {R"({"type":"metrics","number":1})", 0},
           {R"({"type":"metrics","number":1})", 2},
           {R"({"type":"metrics","number":1})", 250},
           {R"({"type":"metrics","number":1,"number":1})", 1},
           {std::string(80'000, ' ') + R"({"type":"ready","generation":1})", 0},
           {std::string(1000, '['), 0}}) {
    send_raw(c.text, c.fds);
    auto got = node_->receive_to_node();
    ASSERT_FALSE(got) << c.text.substr(0, 100);
    EXPECT_EQ(got.error().code, Code::kInvalid) << c.text.substr(0, 100);
    EXPECT_EQ(descriptor_count(), before) << c.text.substr(0, 100);
  }
  // And what follows is understood.
  EXPECT_EQ(to_node<ReadyMessage>(ReadyMessage{8}).generation, 8U);
}

TEST(Memfd, WholeAndUnchangeable) {
  std::string content(300'000, 'x');
  content[1000] = '\0';
  auto fd = to_memfd(content, "test");
  ASSERT_TRUE(fd);
  EXPECT_EQ(*from_memfd(*fd, content.size()), content);
  EXPECT_EQ(*from_memfd(*fd, content.size()), content) << "a second reader";
  EXPECT_EQ(from_memfd(*fd, content.size() - 1).error().code, Code::kExhausted);
  EXPECT_LT(::pwrite(fd->get(), "y", 1, 0), 0);
  EXPECT_NE(::ftruncate(fd->get(), 0), 0);
  auto empty = to_memfd("", "test");
  EXPECT_EQ(*from_memfd(*empty, 0), "");
}

TEST(Memfd, NothingElseIsRead) {
  int pipes[2];
  ASSERT_EQ(::pipe2(pipes, O_CLOEXEC), 0);
  Fd out(pipes[0]), in(pipes[1]);
  EXPECT_EQ(from_memfd(out, 100).error().code, Code::kInvalid);
  Fd unsealed(::memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(from_memfd(unsealed, 100).error().code, Code::kInvalid);
  EXPECT_EQ(from_memfd(some_fd(), 100).error().code, Code::kInvalid);
  EXPECT_EQ(from_memfd(Fd(), 100).error().code, Code::kInvalid);
}

}  // namespace
}  // namespace sallyport::mesh
