// A stream of numbered UDP datagrams, one a millisecond, for bench/change.
//   udp_probe send ADDRESS PORT   sends until its standard input ends; prints "NUMBER NS" for each
//   udp_probe receive PORT        prints "NUMBER NS" for each that arrives
// NS is CLOCK_MONOTONIC, which all processes of the host share. Output is flushed every 20 ms.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>

#include "base/fd.h"
#include "base/strings.h"
#include "kernel/sockets.h"

namespace sallyport {
namespace {

constexpr int64_t kSecond = 1'000'000'000, kStep = 1'000'000, kFlush = 20'000'000;

int64_t now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * kSecond + time.tv_nsec;
}

// Prints a line; false where nobody reads any more.
bool tell(uint64_t number, int64_t ns, int64_t& flushed) {
  std::printf("%llu %lld\n", static_cast<unsigned long long>(number), static_cast<long long>(ns));
  if (ns - flushed < kFlush) return true;
  flushed = ns;
  return std::fflush(stdout) == 0;
}

int send_stream(const Ip& address, uint16_t port) {
  Fd fd(::socket(kernel_test::domain_of(address), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  kernel_test::SocketAddress to = kernel_test::socket_address(address, port);
  if (!fd || ::connect(fd.get(), to.get(), to.size) != 0) {
    std::perror("udp_probe: connect");
    return 1;
  }
  int64_t flushed = 0, next = now();
  for (uint64_t number = 1;; ++number) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (::poll(&input, 1, 0) > 0) return 0;
    next += kStep;
    timespec until{next / kSecond, next % kSecond};
    ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
    int64_t at = now();
    (void)::send(fd.get(), &number, sizeof number, MSG_NOSIGNAL);
    if (!tell(number, at, flushed)) return 0;
    if (at - next > 100 * kStep) next = at;  // was stopped: do not send what is late in a burst
  }
}

int receive(uint16_t port) {
  Fd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  kernel_test::SocketAddress own = kernel_test::socket_address(Ip{}, port);
  if (!fd || ::bind(fd.get(), own.get(), own.size) != 0) {
    std::perror("udp_probe: bind");
    return 1;
  }
  int64_t flushed = 0;
  while (true) {
    pollfd ready[2] = {{fd.get(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    int n = ::poll(ready, 2, 20);
    if (n == 0) {
      flushed = now();
      if (std::fflush(stdout) != 0) return 0;
      continue;
    }
    if (ready[1].revents) return 0;
    uint64_t number = 0;
    if (::recv(fd.get(), &number, sizeof number, 0) == ssize_t{sizeof number} &&
        !tell(number, now(), flushed))
      return 0;
  }
}

}  // namespace
}  // namespace sallyport

int main(int argc, char** argv) {
  using namespace sallyport;
  std::string mode = argc > 1 ? argv[1] : "";
  auto port = argc > 2 ? parse_number<uint16_t>(argv[argc - 1]) : std::nullopt;
  if (mode == "receive" && argc == 3 && port) return receive(*port);
  if (mode == "send" && argc == 4 && port)
    if (auto address = Ip::parse(argv[2])) return send_stream(*address, *port);
  std::fprintf(stderr, "usage: udp_probe send ADDRESS PORT | udp_probe receive PORT\n");
  return 2;
}
