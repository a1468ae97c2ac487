#include "admin/http_metrics.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

namespace sallyport::admin {
namespace {

class FakeClock : public Clock {
 public:
  [[nodiscard]] Monotonic now() const override { return time; }
  [[nodiscard]] WallTime wall() const override { return {}; }
  Monotonic time;
};

class Http : public testing::Test {
 protected:
  void start(HttpMetrics::Limits limits = {}) {
    http_ = std::make_unique<HttpMetrics>([this] { return metrics_; }, [this] { return health_; },
                                          limits, &clock_);
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&where), sizeof(where)), 0);
    ASSERT_EQ(::listen(fd.get(), 64), 0);
    socklen_t length = sizeof(where);
    ASSERT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&where), &length), 0);
    where_ = where;
    ASSERT_TRUE(http_->add_listener(std::move(fd)).has_value());
  }
  [[nodiscard]] Fd dial() const {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&where_), sizeof(where_)), 0);
    return fd;
  }
  void step(int times = 6) {
    for (int i = 0; i < times; ++i) http_->dispatch();
  }
  static void write(const Fd& fd, std::string_view text) {
    ASSERT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT),
              static_cast<ssize_t>(text.size()));
  }
  // What has come; "<end>" where the server has closed its side.
  static std::string take(const Fd& fd) {
    std::string text;
    char chunk[65536];
    for (;;) {
      const ssize_t got = ::recv(fd.get(), chunk, sizeof(chunk), MSG_DONTWAIT);
      if (got == 0) return text + "<end>";
      if (got < 0) return errno == ECONNRESET ? text + "<reset>" : text;
      text.append(chunk, static_cast<size_t>(got));
    }
  }
  std::string ask(std::string_view request) {
    const Fd fd = dial();
    step();
    write(fd, request);
    step();
    return take(fd);
  }
  [[nodiscard]] bool wakes() const {
    pollfd state{http_->poll_fd(), POLLIN, 0};
    return ::poll(&state, 1, 0) == 1;
  }

  std::string metrics_ = "a 1\n";
  Status health_;
  FakeClock clock_;
  sockaddr_in where_{};
  std::unique_ptr<HttpMetrics> http_;
};

TEST_F(Http, ServesMetrics) {
  start();
  EXPECT_EQ(ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
            "Content-Length: 4\r\nConnection: close\r\n\r\na 1\n<end>");
  EXPECT_TRUE(ask("GET /metrics?x=1 HTTP/1.0\n\n").starts_with("HTTP/1.1 200 OK"));
  step();
  EXPECT_EQ(http_->clients(), 0u);
  EXPECT_FALSE(wakes());
}

TEST_F(Http, HeadHasNoBody) {
  start();
  const std::string answer = ask("HEAD /metrics HTTP/1.1\r\n\r\n");
  EXPECT_NE(answer.find("Content-Length: 4"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("\r\n\r\n<end>"));
}

TEST_F(Http, Health) {
  start();
  EXPECT_TRUE(ask("GET /healthz HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200"));
  health_ = fail(Code::kUnavailable, "the gate is gone");
  const std::string answer = ask("GET /healthz HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503"));
  EXPECT_NE(answer.find("the gate is gone"), std::string::npos);
}

TEST_F(Http, OtherRequestsGetTheirErrors) {
  start();
  EXPECT_TRUE(ask("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
  EXPECT_TRUE(ask("GET /metrics/ HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
  const std::string post = ask("POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_TRUE(post.starts_with("HTTP/1.1 405"));
  EXPECT_NE(post.find("Allow: GET, HEAD\r\n"), std::string::npos);
  EXPECT_TRUE(ask("\x16\x03\x01\r\n\r\n").starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(ask("GET /metrics HTTP/2.0\r\n\r\n").starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(ask("GET /a b HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(ask("GET  HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(ask("GET metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400"));
}

TEST_F(Http, HeadIsBounded) {
  start();
  const Fd fd = dial();
  write(fd, "GET /metrics HTTP/1.1\r\nX: " + std::string(9000, 'x'));
  step();
  EXPECT_TRUE(take(fd).starts_with("HTTP/1.1 431"));
}

TEST_F(Http, PartialRequestsAndDisconnects) {
  start();
  Fd fd = dial();
  for (const char c : std::string("GET /metrics HTTP/1.1\r\n\r")) {
    write(fd, std::string(1, c));
    step(2);
    EXPECT_EQ(take(fd), "");
  }
  EXPECT_FALSE(wakes());
  write(fd, "\n");
  step(2);
  EXPECT_TRUE(take(fd).starts_with("HTTP/1.1 200"));
  fd = dial();
  write(fd, "GET /met");
  step();
  EXPECT_EQ(http_->clients(), 1u);
  fd.reset();
  step();
  EXPECT_EQ(http_->clients(), 0u);
}

TEST_F(Http, LargeAnswersGoOutAsTheClientReads) {
  metrics_ = std::string(20 << 20, 'm');
  start();
  const Fd fd = dial();
  write(fd, "GET /metrics HTTP/1.1\r\n\r\n");
  ::shutdown(fd.get(), SHUT_WR);
  step();
  EXPECT_FALSE(wakes()) << "a client that does not read keeps the loop busy";
  std::string all;
  for (int i = 0; i < 100'000 && !all.ends_with("<end>"); ++i) {
    all += take(fd);
    step(1);
  }
  EXPECT_GT(all.size(), metrics_.size());
  EXPECT_TRUE(all.ends_with("mmm<end>"));
  step();
  EXPECT_EQ(http_->clients(), 0u);
}

TEST_F(Http, TimeIsBounded) {
  start();
  const Fd slow = dial();
  write(slow, "GET /metrics");
  const Fd silent = dial();
  step();
  EXPECT_EQ(http_->clients(), 2u);
  clock_.time += std::chrono::seconds(9);
  step();
  EXPECT_EQ(http_->clients(), 2u);
  clock_.time += std::chrono::seconds(1);
  step();
  EXPECT_EQ(http_->clients(), 0u);
  EXPECT_FALSE(take(slow).empty());
  EXPECT_EQ(take(silent), "<end>");
}

TEST_F(Http, TimerWakesTheLoop) {
  start();
  const Fd silent = dial();
  step();
  ASSERT_EQ(http_->clients(), 1u);
  pollfd state{http_->poll_fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&state, 1, 3000), 1);
}

TEST_F(Http, OneMoreClientReplacesTheOldest) {
  HttpMetrics::Limits limits;
  limits.clients = 3;
  start(limits);
  std::vector<Fd> held;
  for (int i = 0; i < 5; ++i) {
    held.push_back(dial());
    step();
  }
  EXPECT_EQ(http_->clients(), 3u);
  EXPECT_EQ(take(held[0]), "<end>");
  EXPECT_EQ(take(held[1]), "<end>");
  EXPECT_EQ(take(held[2]), "");
  EXPECT_TRUE(ask("GET /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200"));
}

}  // namespace
}  // namespace sallyport::admin
