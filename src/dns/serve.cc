#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include <array>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "dns/records.h"
#include "dns/server.h"
#include "dns/tcp.h"
#include "dns/udp.h"

namespace sallyport::dns {
namespace {

// Blocks the signals that end the server, and reads them as a descriptor.
class EndSignals {
 public:
  EndSignals() {
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGTERM);
    ::sigaddset(&signals, SIGINT);
    ::sigprocmask(SIG_BLOCK, &signals, &before_);
    fd_ = Fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  EndSignals(const EndSignals&) = delete;
  EndSignals& operator=(const EndSignals&) = delete;
  ~EndSignals() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }
  [[nodiscard]] int fd() const { return fd_.get(); }
  // Takes the signal off: it would strike when it is no longer blocked.
  void take() const {
    signalfd_siginfo info;
    [[maybe_unused]] const ssize_t got = ::read(fd_.get(), &info, sizeof(info));
  }

 private:
  sigset_t before_;
  Fd fd_;
};

class Loop {
 public:
  Loop(Records& records, const EndSignals& signals) : records_(records), signals_(signals) {}

  Status open(uint16_t port) {
    epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_) return fail_errno("epoll_create1");
    for (const Family family : {Family::kV4, Family::kV6}) {
      Status status = open_family(family, port);
      if (!status && status.error().code == Code::kUnavailable)
        log_warn("dns", status.error().message);
      else if (!status)
        return status;
    }
    if (udp_.empty()) return fail(Code::kUnavailable, "this host has neither IPv4 nor IPv6");
    SP_CHECK_OK(watch(tcp_.poll_fd()));
    if (records_.watch_fd() >= 0) SP_CHECK_OK(watch(records_.watch_fd()));
    return watch(signals_.fd());
  }

  Status run() {
    Monotonic checked = clock_.now();
    for (;;) {
      std::array<epoll_event, 16> events{};
      const int count =
          ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 1000);
      if (count < 0 && errno != EINTR) return fail_errno("epoll_wait");
      bool look = false;
      for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<size_t>(i)].data.fd;
        if (fd == signals_.fd()) {
          signals_.take();
          return {};
        }
        if (fd == tcp_.poll_fd()) tcp_.dispatch(records_.zone());
        if (fd == records_.watch_fd()) look = true;
        for (UdpServer& server : udp_)
          if (fd == server.fd()) server.serve(records_.zone());
      }
      // Also under constant load, when epoll_wait never times out.
      if (clock_.now() - checked >= std::chrono::seconds(1)) {
        checked = clock_.now();
        tcp_.expire();
        look = true;
      }
      if (look) records_.refresh();
    }
  }

 private:
  Status open_family(Family family, uint16_t port) {
    SP_TRY(UdpServer udp, UdpServer::open(family, port));
    SP_CHECK_OK(tcp_.listen(family, port));
    SP_CHECK_OK(watch(udp.fd()));
    udp_.push_back(std::move(udp));
    return {};
  }

  Status watch(int fd) const {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return fail_errno("epoll_ctl");
    return {};
  }

  Records& records_;
  const EndSignals& signals_;
  SystemClock clock_;
  Fd epoll_;
  std::vector<UdpServer> udp_;
  TcpServer tcp_{clock_};
};

Status serve_until_signal(const std::string& records_file, uint16_t port) {
  const EndSignals signals;
  SP_TRY(Records records, Records::open(records_file));
  Loop loop(records, signals);
  SP_CHECK_OK(loop.open(port));
  log_info("dns", "serving " + records.zone().domain + " on port " + std::to_string(port));
  return loop.run();
}

}  // namespace

int serve(const std::string& records_file, uint16_t port) {
  const Status status = serve_until_signal(records_file, port);
  if (status) return 0;
  log_error("dns", status.error().message);
  return 1;
}

}  // namespace sallyport::dns
