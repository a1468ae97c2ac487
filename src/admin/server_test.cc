#include "admin/server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "admin/client.h"
#include "admin/unix_socket.h"
#include "codec/json.h"

namespace sallyport::admin {
namespace {

using codec::Value;

size_t open_fds() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count;
}

// Server and client sides in one thread: the client is a plain socket, and the server's turn comes
// with step().
class AdminServer : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sallyport-admin-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    dir_ = name;
    path_ = dir_ + "/admin.sock";
    fds_before_ = open_fds();
  }
  void TearDown() override {
    held_.reset();
    server_.reset();
    EXPECT_EQ(open_fds(), fds_before_) << "descriptors leak";
    EXPECT_FALSE(std::filesystem::exists(path_));
    std::filesystem::remove_all(dir_);
  }

  void start(Server::Limits limits = {}) {
    server_ = std::make_unique<Server>(limits);
    ASSERT_TRUE(server_->listen(path_).has_value());
    server_->handle("echo", [](std::shared_ptr<Session> session, const Value& request) {
      session->send(request["value"]);
      session->finish(static_cast<int>(request["exit"].as_int()));
    });
    server_->handle("hold", [this](std::shared_ptr<Session> session, const Value&) {
      held_ = std::move(session);
      held_->on_close([this] { ++closed_; });
    });
    server_->handle("big", [](const std::shared_ptr<Session>& session, const Value&) {
      session->send(Value::string(std::string(500'000, 'x')));  // more than the socket takes
      session->finish(0);
    });
    server_->handle("drop", [](const std::shared_ptr<Session>&, const Value&) {});
  }

  void step(int times = 4) {
    for (int i = 0; i < times; ++i) server_->dispatch();
  }
  [[nodiscard]] bool wakes() const {
    pollfd state{server_->poll_fd(), POLLIN, 0};
    return ::poll(&state, 1, 0) == 1;
  }
  Fd dial() {
    auto fd = connect_unix(path_);
    EXPECT_TRUE(fd.has_value());
    return fd ? std::move(*fd) : Fd();
  }
  static void write(const Fd& fd, std::string_view text) {
    ASSERT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT),
              static_cast<ssize_t>(text.size()));
  }
  // All that is there now; "<end>" where the server has closed.
  static std::string take(const Fd& fd) {
    std::string text;
    char chunk[65536];
    for (;;) {
      const ssize_t got = ::recv(fd.get(), chunk, sizeof(chunk), MSG_DONTWAIT);
      if (got == 0) return text + "<end>";
      if (got < 0) return text;
      text.append(chunk, static_cast<size_t>(got));
    }
  }

  std::string dir_, path_;
  size_t fds_before_ = 0;
  std::unique_ptr<Server> server_;
  std::shared_ptr<Session> held_;
  int closed_ = 0;
};

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
