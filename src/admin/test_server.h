// Server and client sides of the control socket in one thread, for this module's tests.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "admin/server.h"
#include "admin/unix_socket.h"
#include "codec/value.h"

namespace sallyport::admin::test {

inline size_t open_fds() {
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
    server_->handle("echo", [](std::shared_ptr<Session> session, const codec::Value& request) {
      session->send(request["value"]);
      session->finish(static_cast<int>(request["exit"].as_int()));
    });
    server_->handle("hold", [this](std::shared_ptr<Session> session, const codec::Value&) {
      held_ = std::move(session);
      held_->on_close([this] { ++closed_; });
    });
    server_->handle("big", [](const std::shared_ptr<Session>& session, const codec::Value&) {
      session->send(codec::Value::string(std::string(500'000, 'x')));  // more than the socket takes
      session->finish(0);
    });
    server_->handle("drop", [](const std::shared_ptr<Session>&, const codec::Value&) {});
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

}  // namespace sallyport::admin::test
