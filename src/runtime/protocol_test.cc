#include "runtime/protocol.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"

namespace sallyport::runtime {
namespace {

class ProtocolTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    a_ = Fd(ends[0]);
    b_ = Fd(ends[1]);
  }
  Fd a_, b_;
};

codec::Value text_value(const std::string& text) {
  codec::Value value = codec::Value::map();
  value.set("text", text);
  return value;
}

TEST_F(ProtocolTest, BodiesAndDescriptors) {
  for (size_t size : {size_t{0}, size_t{100}, size_t{5} << 20}) {
    std::string text(size, 'x');
    int fds[2] = {0, 1};
    ASSERT_TRUE(send_message(a_.get(), text_value(text), fds));
    auto message = receive_message(b_.get());
    ASSERT_TRUE(message) << message.error().message;
    Message got = std::move(*message).value_or(Message{});
    EXPECT_EQ(got.body["text"].as_string(), text);
    ASSERT_EQ(got.fds.size(), 2u);
    EXPECT_TRUE(::fcntl(got.fds[0].get(), F_GETFD) & FD_CLOEXEC);
  }
}

TEST_F(ProtocolTest, SilenceAndEndAreDifferent) {
  EXPECT_EQ(receive_message(b_.get()).error().code, Code::kUnavailable);
  a_.reset();
  auto message = receive_message(b_.get());
  ASSERT_TRUE(message);
  EXPECT_FALSE(*message);
}

TEST_F(ProtocolTest, TooManyDescriptorsAreRefused) {
  std::vector<int> fds(201, 0);
  EXPECT_EQ(send_message(a_.get(), text_value(""), fds).error().code, Code::kExhausted);
}

TEST_F(ProtocolTest, NonsenseIsAnErrorAndLeaksNothing) {
  size_t before = list_dir("/proc/self/fd")->size();
  for (std::string text : {"I", "I{", "M", "I\xff", "", "Q"}) {
    if (text.empty()) continue;
    ASSERT_EQ(::send(a_.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    EXPECT_FALSE(receive_message(b_.get())) << text;
  }
  EXPECT_EQ(list_dir("/proc/self/fd")->size(), before);
}

TEST_F(ProtocolTest, MemoryFilesCannotBeChanged) {
  auto file = memory_file("content");
  ASSERT_TRUE(file);
  EXPECT_EQ(read_memory_file(file->get()), "content");
  EXPECT_LT(::pwrite(file->get(), "x", 1, 0), 0);
}

TEST_F(ProtocolTest, SocketsInDirectoriesOfAnyLength) {
  char pattern[] = "/tmp/sallyport-proto-XXXXXX";
  ASSERT_TRUE(::mkdtemp(pattern));
  std::string dir = pattern + ("/" + std::string(200, 'd'));
  ASSERT_TRUE(make_dirs(dir));
  EXPECT_FALSE(connect_in(dir, "s"));
  auto listener = listen_in(dir, "s");
  ASSERT_TRUE(listener) << listener.error().message;
  struct stat st{};
  ASSERT_EQ(::stat((dir + "/s").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  auto client = connect_in(dir, "s");
  EXPECT_TRUE(client);
  EXPECT_FALSE(listen_in(dir, "s")) << "taken";
  EXPECT_FALSE(listen_in(dir, std::string(120, 'n')));
  EXPECT_TRUE(remove_tree(pattern));
}

}  // namespace
}  // namespace sallyport::runtime
