#include "admin/client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <filesystem>

#include "admin/unix_socket.h"

namespace sallyport::admin {
namespace {

using codec::Value;

// The node's side is a plain socket that says what the test wants.
class AdminClient : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sallyport-client-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    dir_ = name;
    auto listener = listen_unix(dir_ + "/s");
    ASSERT_TRUE(listener.has_value());
    auto client = Client::connect(dir_ + "/s");
    ASSERT_TRUE(client.has_value());
    client_.emplace(std::move(*client));
    node_ = Fd(::accept4(listener->fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_TRUE(node_);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  void say(std::string_view text) const {
    ASSERT_EQ(::send(node_.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }

  std::string dir_;
  std::optional<Client> client_;
  Fd node_;
};

TEST_F(AdminClient, SendsOneLine) {
  Value request = Value::map();
  request.set("op", "x\ny");
  ASSERT_TRUE(client_->request(request).has_value());
  char text[100] = {};
  ASSERT_GT(::recv(node_.get(), text, sizeof(text) - 1, 0), 0);
  EXPECT_STREQ(text, "{\"op\":\"x\\ny\"}\n");
}

TEST_F(AdminClient, ReadsRecordsLossesAndTheEnd) {
  say("{\"record\":1}\n{\"record\":{\"error\":\"of a query\"}}\n{\"lost\":4}\n{\"lost\":2}\n");
  say("{\"record\":null}\n{\"done\":true,\"exit\":7}\n{\"rec");
  auto record = client_->next();
  ASSERT_TRUE(record.has_value() && record->has_value());
  EXPECT_EQ((*record)->as_int(), 1);
  EXPECT_EQ(client_->take_lost(), 0u);
  record = client_->next();
  ASSERT_TRUE(record.has_value() && record->has_value());
  EXPECT_EQ((**record)["error"].as_string(), "of a query");
  record = client_->next();
  ASSERT_TRUE(record.has_value() && record->has_value());
  EXPECT_TRUE((*record)->is_null());
  EXPECT_EQ(client_->take_lost(), 6u);
  EXPECT_EQ(client_->take_lost(), 0u);
  EXPECT_TRUE(client_->buffered());
  record = client_->next();
  ASSERT_TRUE(record.has_value());
  EXPECT_FALSE(record->has_value());
  EXPECT_EQ(client_->exit_code(), 7);
  EXPECT_FALSE(client_->buffered());
}

TEST_F(AdminClient, ErrorsAreErrors) {
  say("{\"error\":\"no such pod\"}\n");
  auto record = client_->next();
  ASSERT_FALSE(record.has_value());
  EXPECT_EQ(record.error().message, "no such pod");
  say("nonsense\n");
  record = client_->next();
  ASSERT_FALSE(record.has_value());
  EXPECT_EQ(record.error().code, Code::kInternal);
  say("{\"other\":1}\n");
  record = client_->next();
  ASSERT_FALSE(record.has_value());
  EXPECT_EQ(record.error().code, Code::kInternal);
}

TEST_F(AdminClient, AnEarlyEndIsNoSuccess) {
  say("{\"record\":1}\n{\"done\":true");
  node_.reset();
  EXPECT_TRUE(client_->next().has_value());
  auto record = client_->next();
  ASSERT_FALSE(record.has_value());
  EXPECT_EQ(record.error().code, Code::kUnavailable);
}

TEST_F(AdminClient, AnswerOfANodeThatClosedBeforeTheRequestIsRead) {
  say("{\"error\":\"busy\"}\n");
  node_.reset();
  ASSERT_TRUE(client_->request(Value::map()).has_value());
  auto record = client_->next();
  ASSERT_FALSE(record.has_value());
  EXPECT_EQ(record.error().message, "busy");
}

TEST_F(AdminClient, NobodyListens) {
  auto client = Client::connect(dir_ + "/none");
  ASSERT_FALSE(client.has_value());
  EXPECT_EQ(client.error().code, Code::kNotFound);
}

}  // namespace
}  // namespace sallyport::admin
