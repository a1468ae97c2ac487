#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "admin/client.h"
#include "admin/server.h"
#include "admin/test_server.h"

namespace sallyport::admin {
namespace {

using codec::Value;
using test::AdminServer;
using test::open_fds;

TEST_F(AdminServer, SlowFollowerLosesRecordsAndIsToldHowMany) {
  Server::Limits limits;
  limits.offer_bytes = 10'000;
  start(limits);
  const Fd fd = dial();
  write(fd, "{\"op\":\"hold\"}\n");
  step();
  const Value record = Value::string(std::string(1000, 'r'));
  uint64_t sent = 0;
  uint64_t lost = 0;
  for (int i = 0; i < 5000; ++i) (held_->offer(record) ? sent : lost)++;
  EXPECT_GT(lost, 1000u);
  EXPECT_LT(held_->pending_bytes(), 12'000u);
  EXPECT_FALSE(held_->closed());

  std::string all;
  for (int i = 0; i < 200; ++i) {
    all += take(fd);
    step(1);
  }
  held_->offer(Value::string("after"));
  held_->finish(0);
  all += take(fd);
  const std::string notice = "{\"lost\":" + std::to_string(lost) + "}\n{\"record\":\"after\"}\n";
  EXPECT_NE(all.find(notice), std::string::npos) << all.substr(all.size() - 200);
  uint64_t got = 0;
  for (size_t at = 0; (at = all.find("{\"record\":\"r", at)) != std::string::npos; ++at) ++got;
  EXPECT_EQ(got, sent);
}

TEST_F(AdminServer, LossesAreReportedBeforeTheEnd) {
  Server::Limits limits;
  limits.offer_bytes = 0;
  start(limits);
  const Fd fd = dial();
  write(fd, "{\"op\":\"hold\"}\n");
  step();
  const Value big = Value::string(std::string(400'000, 'r'));  // more than the socket takes
  held_->send(big);
  EXPECT_FALSE(held_->offer(Value::integer(1)));
  EXPECT_FALSE(held_->offer(Value::integer(2)));
  held_->finish(0);
  std::string all;
  for (int i = 0; i < 100; ++i) {
    step(1);
    all += take(fd);
  }
  EXPECT_TRUE(all.ends_with("{\"lost\":2}\n{\"done\":true,\"exit\":0}\n"));
}

TEST_F(AdminServer, ClientThatNeverReadsIsCutOff) {
  Server::Limits limits;
  limits.output_bytes = 1 << 20;
  start(limits);
  const Fd fd = dial();
  const Fd other = dial();
  write(fd, "{\"op\":\"hold\"}\n");
  step();
  const Value record = Value::string(std::string(10'000, 'r'));
  for (int i = 0; i < 1000 && !held_->closed(); ++i) held_->send(record);
  EXPECT_TRUE(held_->closed());
  EXPECT_TRUE(wakes());
  step();
  EXPECT_EQ(closed_, 1);
  EXPECT_FALSE(wakes()) << "the client that was cut off keeps the loop busy";
  // Others are served meanwhile.
  write(other, "{\"op\":\"echo\",\"value\":1}\n");
  step();
  EXPECT_TRUE(take(other).starts_with("{\"record\":1}"));
  std::string all;
  for (int i = 0; i < 100; ++i) {
    all += take(fd);
    step(1);
  }
  EXPECT_NE(all.find("{\"error\":\"more than 1048576 bytes of output wait"), std::string::npos);
  EXPECT_EQ(server_->clients(), 1u);
}

TEST_F(AdminServer, LongAnswersInPortions) {
  start();
  int portions = 0;
  size_t most = 0;
  server_->handle("long", [&](std::shared_ptr<Session> session, const Value&) {
    session->on_drain([&, session] {
      session->send(Value::string(std::string(100'000, 'p')));
      most = std::max(most, session->pending_bytes());
      if (++portions == 50) session->finish(0);
    });
  });
  const Fd fd = dial();
  write(fd, "{\"op\":\"long\"}\n");
  std::string all;
  for (int i = 0; i < 1000 && !all.ends_with("exit\":0}\n"); ++i) {
    step(1);
    all += take(fd);
  }
  EXPECT_EQ(portions, 50);
  EXPECT_GT(all.size(), 5'000'000u);
  EXPECT_LE(most, 100'100u);
}

TEST_F(AdminServer, DescriptorsGoBothWays) {
  start();
  server_->handle("swap", [](std::shared_ptr<Session> session, const Value&) {
    std::vector<Fd> fds = session->take_fds();
    ASSERT_EQ(fds.size(), 2u);
    EXPECT_NE(::fcntl(fds[0].get(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_EQ(::write(fds[1].get(), "node", 4), 4);
    fds.pop_back();
    session->send_with_fds(Value::string("take it"), std::move(fds));
    session->finish(0);
  });
  int pipes[2];
  ASSERT_EQ(::pipe2(pipes, O_CLOEXEC), 0);
  const Fd read_end(pipes[0]);
  Fd write_end(pipes[1]);
  auto client = Client::connect(path_);
  ASSERT_TRUE(client.has_value());
  Value request = Value::map();
  request.set("op", "swap");
  ASSERT_TRUE(client->request(request, {read_end.get(), write_end.get()}).has_value());
  write_end.reset();
  step();
  auto record = client->next();
  ASSERT_TRUE(record.has_value() && record->has_value());
  EXPECT_EQ((*record)->as_string(), "take it");
  std::vector<Fd> back = client->take_fds();
  ASSERT_EQ(back.size(), 1u);
  char text[8] = {};
  EXPECT_EQ(::read(back[0].get(), text, sizeof(text)), 4);
  EXPECT_STREQ(text, "node");
  record = client->next();
  EXPECT_TRUE(record.has_value() && !record->has_value());
}

TEST_F(AdminServer, TooManyDescriptorsAreRefusedAndClosed) {
  start();
  const Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  for (const size_t count : {size_t{9}, size_t{32}}) {
    auto client = Client::connect(path_);
    ASSERT_TRUE(client.has_value());
    Value request = Value::map();
    request.set("op", "hold");
    ASSERT_TRUE(client->request(request, std::vector<int>(count, null.get())).has_value());
    step();
    auto answer = client->next();
    ASSERT_FALSE(answer.has_value());
    EXPECT_EQ(answer.error().message, "too many descriptors with one request; expected at most 8");
  }
  EXPECT_FALSE(held_);
}

TEST_F(AdminServer, UnusedDescriptorsAreClosed) {
  start();
  const Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  auto client = Client::connect(path_);
  Value request = Value::map();
  request.set("op", "echo");
  const size_t before = open_fds();
  ASSERT_TRUE(client->request(request, {null.get(), null.get()}).has_value());
  step();
  EXPECT_EQ(open_fds(), before + 1);  // the server's side of the connection
}

}  // namespace
}  // namespace sallyport::admin
