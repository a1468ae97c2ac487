#include "admin/server.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstring>
#include <string>

#include "admin/test_server.h"

namespace sallyport::admin {
namespace {

using codec::Value;
using test::AdminServer;
using test::open_fds;

TEST_F(AdminServer, AnswersARequest) {
  start();
  const Fd fd = dial();
  write(fd, "{\"op\":\"echo\",\"value\":{\"done\":true},\"exit\":3}\n");
  EXPECT_TRUE(wakes());
  step();
  EXPECT_EQ(take(fd), "{\"record\":{\"done\":true}}\n{\"done\":true,\"exit\":3}\n");
  EXPECT_FALSE(wakes()) << "an idle client keeps the loop busy";
}

TEST_F(AdminServer, SocketIsForRootOnly) {
  start();
  struct stat info{};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  // Even where the modes let others through, their uid is looked at.
  ASSERT_EQ(::chmod(path_.c_str(), 0666), 0);
  ASSERT_EQ(::chmod(dir_.c_str(), 0755), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setresuid(65534, 65534, 65534) != 0) ::_exit(1);
    auto fd = connect_unix(path_);
    if (!fd) ::_exit(2);
    char text[200] = {};
    const ssize_t got = ::recv(fd->get(), text, sizeof(text) - 1, 0);
    ::_exit(got > 0 && std::strstr(text, "only root") != nullptr && server_->clients() == 0 ? 0
                                                                                            : 3);
  }
  ASSERT_GT(child, 0);
  int status = -1;
  for (int i = 0; i < 500 && ::waitpid(child, &status, WNOHANG) == 0; ++i) {
    step(1);
    ::usleep(10'000);
  }
  EXPECT_EQ(status, 0);
  EXPECT_EQ(server_->clients(), 0u);
}

TEST_F(AdminServer, PartialAndSeveralLines) {
  start();
  const Fd fd = dial();
  const std::string request = "{\"op\":\"echo\",\"value\":1}\n";
  for (const char c : request) {
    EXPECT_EQ(take(fd), "");
    write(fd, std::string(1, c));
    step(2);
  }
  EXPECT_EQ(take(fd), "{\"record\":1}\n{\"done\":true,\"exit\":0}\n");
  std::string many;
  std::string expected;
  for (int i = 0; i < 50; ++i) {
    many += "{\"op\":\"echo\",\"value\":" + std::to_string(i) + "}\n";
    expected += "{\"record\":" + std::to_string(i) + "}\n{\"done\":true,\"exit\":0}\n";
  }
  write(fd, many);
  std::string all;
  for (int i = 0; i < 10; ++i) {
    step();
    all += take(fd);
  }
  EXPECT_EQ(all, expected);
}

TEST_F(AdminServer, RequestsWaitForTheOneBefore) {
  start();
  const Fd fd = dial();
  write(fd, "{\"op\":\"hold\"}\n{\"op\":\"echo\",\"value\":2}\n");
  step();
  EXPECT_EQ(take(fd), "");
  ASSERT_TRUE(held_);
  held_->send(Value::integer(1));
  held_->finish(0);
  EXPECT_TRUE(held_->closed());
  held_->send(Value::integer(9));  // too late: nothing
  EXPECT_EQ(take(fd), "{\"record\":1}\n{\"done\":true,\"exit\":0}\n");
  EXPECT_TRUE(wakes());
  step();
  EXPECT_EQ(take(fd), "{\"record\":2}\n{\"done\":true,\"exit\":0}\n");
  EXPECT_EQ(closed_, 0);
}

TEST_F(AdminServer, GarbageIsAnsweredAndClosed) {
  start();
  for (const char* garbage : {"hello\n", "\n", "{\"op\":\"echo\"\n", "\xff\xfe\n", "[[[[[[\n"}) {
    const Fd fd = dial();
    write(fd, garbage);
    step();
    const std::string answer = take(fd);
    EXPECT_TRUE(answer.starts_with("{\"error\":\"the request is not one line of JSON")) << answer;
    EXPECT_TRUE(answer.ends_with("\n<end>")) << answer;
  }
  EXPECT_EQ(server_->clients(), 0u);
}

TEST_F(AdminServer, WrongRequestsAreAnsweredAndTheConnectionGoesOn) {
  start();
  const Fd fd = dial();
  write(fd, "{}\n");
  step();
  EXPECT_EQ(take(fd), "{\"error\":\"the request has no member \\\"op\\\"; expected a string\"}\n");
  write(fd, "{\"op\":\"nonsense\"}\n");
  step();
  EXPECT_EQ(
      take(fd),
      "{\"error\":\"unknown request \\\"nonsense\\\"; expected one of big, drop, echo, hold\"}\n");
  write(fd, "{\"op\":\"drop\"}\n");
  step();
  EXPECT_EQ(take(fd), "{\"error\":\"the node gave up this request without an answer\"}\n");
  write(fd, "[1]\n{\"op\":\"echo\",\"value\":null}\n");
  step();
  EXPECT_EQ(take(fd),
            "{\"error\":\"the request has no member \\\"op\\\"; expected a string\"}\n"
            "{\"record\":null}\n{\"done\":true,\"exit\":0}\n");
}

TEST_F(AdminServer, LongLinesAreRefused) {
  Server::Limits limits;
  limits.request_bytes = 1000;
  start(limits);
  const Fd fd = dial();
  write(fd, std::string(1001, 'x'));
  step();
  EXPECT_EQ(take(fd),
            "{\"error\":\"the request line is too long; expected at most 1000 bytes\"}\n<end>");
  const Fd whole = dial();
  write(whole, "\"" + std::string(1100, 'x') + "\"\n");
  step();
  EXPECT_TRUE(take(whole).starts_with("{\"error\":\"the request line is too long"));
}

TEST_F(AdminServer, TooManyClientsAreTurnedAway) {
  Server::Limits limits;
  limits.clients = 2;
  start(limits);
  Fd a = dial();
  const Fd b = dial();
  const Fd c = dial();
  step();
  EXPECT_TRUE(take(c).starts_with("{\"error\":\"the node serves 2 clients already"));
  a.reset();
  step();
  const Fd d = dial();
  write(d, "{\"op\":\"echo\",\"value\":1}\n");
  step();
  EXPECT_TRUE(take(d).starts_with("{\"record\":1}"));
}

TEST_F(AdminServer, DisconnectIsToldOnce) {
  start();
  Fd fd = dial();
  write(fd, "{\"op\":\"hold\"}\n");
  step();
  ASSERT_TRUE(held_);
  EXPECT_FALSE(held_->closed());
  fd.reset();
  EXPECT_TRUE(wakes());
  step();
  EXPECT_EQ(closed_, 1);
  EXPECT_TRUE(held_->closed());
  held_->send(Value::integer(1));
  EXPECT_FALSE(held_->offer(Value::integer(1)));
  held_->finish(0);
  step();
  EXPECT_EQ(closed_, 1);
  EXPECT_EQ(server_->clients(), 0u);
  EXPECT_FALSE(wakes());
}

TEST_F(AdminServer, SendToAClientThatIsGoneBeforeTheLoopKnows) {
  start();
  Fd fd = dial();
  write(fd, "{\"op\":\"hold\"}\n");
  step();
  fd.reset();
  held_->send(Value::integer(1));  // EPIPE
  EXPECT_TRUE(held_->closed());
  step();
  EXPECT_EQ(closed_, 1);
  EXPECT_EQ(server_->clients(), 0u);
}

TEST_F(AdminServer, HalfClosedClientStillGetsItsAnswer) {
  start();
  const Fd fd = dial();
  write(fd, "{\"op\":\"big\"}\n");
  ::shutdown(fd.get(), SHUT_WR);
  std::string answer;
  for (int i = 0; i < 200 && !answer.ends_with("<end>"); ++i) {
    step(1);
    answer += take(fd);
  }
  EXPECT_EQ(answer.size(),
            std::string("{\"record\":\"\"}\n{\"done\":true,\"exit\":0}\n<end>").size() + 500'000);
  EXPECT_EQ(server_->clients(), 0u);
}

TEST_F(AdminServer, ReplacesTheSocketOfADeadNodeOnly) {
  {
    auto dead = listen_unix(path_);
    ASSERT_TRUE(dead.has_value());
  }
  start();
  Server second;
  const Status status = second.listen(path_);
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, Code::kConflict);
  const Fd fd = dial();  // the first one still listens
  write(fd, "{\"op\":\"echo\",\"value\":1}\n");
  step();
  EXPECT_TRUE(take(fd).starts_with("{\"record\":1}"));
}

TEST_F(AdminServer, ServerEndClosesSessions) {
  start();
  const Fd fd = dial();
  write(fd, "{\"op\":\"hold\"}\n");
  step();
  server_.reset();
  EXPECT_EQ(closed_, 1);
  EXPECT_TRUE(held_->closed());
  held_->send(Value::integer(1));
  EXPECT_EQ(take(fd), "<end>");
}

TEST_F(AdminServer, ManyClientsComeAndGo) {
  start();
  const size_t before = open_fds();
  for (int i = 0; i < 300; ++i) {
    const Fd fd = dial();
    if (i % 3 != 0) write(fd, i % 3 == 1 ? "{\"op\":\"hold\"}\n" : "{\"op\":\"ec");
    step(2);
    held_.reset();
  }
  step();
  EXPECT_EQ(server_->clients(), 0u);
  EXPECT_EQ(open_fds(), before);
}

}  // namespace
}  // namespace sallyport::admin
