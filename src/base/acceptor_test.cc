#include "base/acceptor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>

namespace sallyport {
namespace {

// An abstract socket of this process.
sockaddr_un address(socklen_t& length) {
  sockaddr_un result{};
  result.sun_family = AF_UNIX;
  const std::string name = "sallyport-acceptor-" + std::to_string(::getpid());
  std::memcpy(result.sun_path + 1, name.data(), name.size());
  length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return result;
}

struct Listening {
  Listening() {
    Fd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
    socklen_t length = 0;
    const sockaddr_un where = address(length);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&where), length), 0);
    EXPECT_EQ(::listen(fd.get(), 16), 0);
    acceptor = std::move(*Acceptor::adopt(std::move(fd)));
  }
  static Fd connect() {
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    socklen_t length = 0;
    const sockaddr_un where = address(length);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&where), length) != 0) return {};
    return fd;
  }
  Acceptor acceptor;
};

TEST(Acceptor, GivesConnectionsAndThenNone) {
  Listening listening;
  const Fd a = Listening::connect();
  const Fd b = Listening::connect();
  const Fd first = listening.acceptor.accept();
  ASSERT_TRUE(first);
  EXPECT_NE(::fcntl(first.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(first.get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_TRUE(listening.acceptor.accept());
  EXPECT_FALSE(listening.acceptor.accept());
}

TEST(Acceptor, RefusesWhenDescriptorsRunOutAndRecovers) {
  Listening listening;
  const Fd waiting = Listening::connect();
  ASSERT_TRUE(waiting);

  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  const Fd next(::dup(waiting.get()));
  rlimit low = old;
  low.rlim_cur = static_cast<rlim_t>(next.get()) + 1;  // all below are taken
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  const bool accepted = static_cast<bool>(listening.acceptor.accept());
  pollfd state{listening.acceptor.fd(), POLLIN, 0};
  const int still_waiting = ::poll(&state, 1, 0);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);

  EXPECT_FALSE(accepted);
  EXPECT_EQ(still_waiting, 0) << "the connection is still there and would spin the loop";
  char byte = 0;
  EXPECT_EQ(::recv(waiting.get(), &byte, 1, 0), 0);  // closed by the acceptor

  const Fd later = Listening::connect();
  EXPECT_TRUE(listening.acceptor.accept());
}

}  // namespace
}  // namespace sallyport
