#include "kernel/prober.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <tuple>

#include "kernel/sockets.h"
#include "net/netns.h"

namespace sallyport::kernel_test {
namespace {

using Steady = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kMostForAnswers{6000};
constexpr milliseconds kLeastForDenials{100};
constexpr milliseconds kResendAfter{400};
constexpr uint16_t kFirstPort = 20000, kLastPort = 60000;

// Of the initiator's view, as events have it.
using Tuple = std::tuple<uint8_t, Ip, uint16_t, Ip, uint16_t>;

struct Flight {
  Probe probe;
  Outcome outcome;
  Fd fd;
  uint16_t source_port = 0;
  bool connecting = false;  // TCP before its SYN-ACK

  [[nodiscard]] bool icmp() const { return probe.protocol == k8s::Protocol::kIcmp; }
  [[nodiscard]] Tuple tuple() const {
    bool v6 = probe.family == Family::kV6;
    auto protocol = static_cast<uint8_t>(probe.protocol);
    uint16_t port = probe.port;
    if (icmp()) {
      protocol = v6 ? uint8_t{IPPROTO_ICMPV6} : uint8_t{IPPROTO_ICMP};
      port = static_cast<uint16_t>((v6 ? 128 : 8) << 8);
    }
    return {protocol, probe.from->ip(probe.family), source_port, probe.to->ip(probe.family), port};
  }
};

std::pair<int, int> type_and_protocol(const Probe& probe) {
  switch (probe.protocol) {
    case k8s::Protocol::kTcp:
      return {SOCK_STREAM, 0};
    case k8s::Protocol::kUdp:
      return {SOCK_DGRAM, 0};
    case k8s::Protocol::kSctp:
      return {SOCK_RAW, IPPROTO_SCTP};
    case k8s::Protocol::kIcmp:
      break;
  }
  return {SOCK_DGRAM, probe.family == Family::kV4 ? IPPROTO_ICMP : int{IPPROTO_ICMPV6}};
}

void note(Flight& flight, int error) {
  // What an error says came from beyond the gate: a reset, an ICMP error.
  if (error != EAGAIN && error != EINTR && error != EINPROGRESS) flight.outcome.reached = true;
}

void send_once(Flight& flight) {
  std::string data = "?";
  if (flight.probe.protocol == k8s::Protocol::kSctp) {
    data = write_sctp({flight.source_port, flight.probe.port, kSctpInit});
  } else if (flight.icmp()) {
    data = std::string(8, '\0');  // the kernel fills in id and checksum
    data[0] = static_cast<char>(flight.probe.family == Family::kV4 ? 8 : 128);
  }
  if (::send(flight.fd.get(), data.data(), data.size(), MSG_NOSIGNAL) < 0) note(flight, errno);
}

Status launch(Flight& flight) {
  const Probe& probe = flight.probe;
  auto [type, protocol] = type_and_protocol(probe);
  const Ip& from = probe.from->ip(probe.family);
  flight.fd = Fd(::socket(domain_of(from), type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  if (!flight.fd) return fail_errno("socket for " + probe.to_string());
  bool raw = type == SOCK_RAW;
  SocketAddress own = socket_address(from, raw ? 0 : flight.source_port);
  SocketAddress other =
      socket_address(probe.to->ip(probe.family), raw || flight.icmp() ? uint16_t{0} : probe.port);
  if (::bind(flight.fd.get(), own.get(), own.size) != 0)
    return fail_errno("bind for " + probe.to_string());
  if (type == SOCK_STREAM) {
    linger hard{1, 0};  // closing resets: no TIME_WAIT, nothing lingers in the next step
    ::setsockopt(flight.fd.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  }
  if (::connect(flight.fd.get(), other.get(), other.size) != 0) {
    if (errno != EINPROGRESS) return fail_errno("connect for " + probe.to_string());
    flight.connecting = true;
    return {};
  }
  send_once(flight);
  return {};
}

void on_ready(Flight& flight) {
  if (flight.connecting) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(flight.fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    flight.connecting = false;
    flight.outcome.reached = true;
    if (error == 0) send_once(flight);
    return;
  }
  std::array<uint8_t, 512> data;
  for (int i = 0; i < 64; ++i) {
    ssize_t n = ::recv(flight.fd.get(), data.data(), data.size(), 0);
    if (n < 0) return note(flight, errno);
    if (flight.probe.protocol == k8s::Protocol::kSctp) {
      // A raw socket sees the answers to all probes of this pair.
      SctpPacket packet = read_sctp(flight.probe.family, data.data(), static_cast<size_t>(n));
      if (packet.chunk != kSctpInitAck || packet.destination_port != flight.source_port ||
          packet.source_port != flight.probe.port)
        continue;
    }
    flight.outcome.reached = true;
    if (n > 0) flight.outcome.answered = true;
    if (n == 0) return;
  }
}

}  // namespace

std::string Probe::to_string() const {
  return from->name + " -> " + to->name + " " + std::string(k8s::to_string(protocol)) +
         (port != 0 ? " " + std::to_string(port) : "") +
         (family == Family::kV4 ? " over IPv4" : " over IPv6");
}

Result<std::vector<Outcome>> Prober::run(const std::vector<Probe>& probes, bool enforced) {
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno("epoll_create1");
  std::vector<Flight> flights(probes.size());
  std::map<Tuple, size_t> by_tuple;
  std::map<const Host*, std::vector<size_t>> by_host;
  for (size_t i = 0; i < probes.size(); ++i) {
    uint16_t& next = next_port_.try_emplace(probes[i].from, kFirstPort).first->second;
    if (next == kLastPort) return fail(Code::kExhausted, "no source ports left");
    flights[i].probe = probes[i];
    flights[i].source_port = next++;
    by_tuple[flights[i].tuple()] = i;
    by_host[probes[i].from].push_back(i);
  }

  auto take_events = [&] {
    world_.gate().drain_events([&](const gate::FlowEvent& event) {
      using Kind = gate::FlowEvent::Kind;
      if (event.kind != Kind::kNew && event.kind != Kind::kDenied) return;
      auto found = by_tuple.find({event.protocol, event.source, event.source_port,
                                  event.destination, event.destination_port});
      if (found != by_tuple.end() && !flights[found->second].outcome.event)
        flights[found->second].outcome.event = event;
    });
  };
  auto handle = [&](milliseconds wait) {
    std::array<epoll_event, 256> events;
    int n = ::epoll_wait(epoll.get(), events.data(), events.size(), static_cast<int>(wait.count()));
    for (int i = 0; i < n; ++i) {
      Flight& flight = flights[events[static_cast<size_t>(i)].data.u64];
      bool was_connecting = flight.connecting;
      on_ready(flight);
      epoll_event event = events[static_cast<size_t>(i)];
      event.events = EPOLLIN;
      // One answer is enough, and a socket with an error would be ready for ever.
      int action = was_connecting && !flight.outcome.answered ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
      if (action == EPOLL_CTL_DEL && !flight.outcome.reached) continue;
      ::epoll_ctl(epoll.get(), action, flight.fd.get(), &event);
    }
    take_events();
  };

  for (const auto& [host, mine] : by_host) {
    SP_CHECK_OK(net::in_netns(host->netns, [&]() -> Status {
      for (size_t i : mine) {
        SP_CHECK_OK(launch(flights[i]));
        epoll_event event{};
        event.events = EPOLLIN | (flights[i].connecting ? EPOLLOUT : 0U);
        event.data.u64 = i;
        if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, flights[i].fd.get(), &event) != 0)
          return fail_errno("epoll_ctl");
      }
      return {};
    }));
    handle(milliseconds(0));
  }

  auto sent = Steady::now(), resent = sent;
  auto missing = [&](const Flight& flight) {
    return (flight.probe.expect_allow && !flight.outcome.answered) ||
           (enforced && !flight.outcome.event);
  };
  while (true) {
    handle(milliseconds(5));
    auto now = Steady::now();
    bool waiting = std::any_of(flights.begin(), flights.end(), missing);
    if ((!waiting && now - sent >= kLeastForDenials) || now - sent >= kMostForAnswers) break;
    if (now - resent < kResendAfter) continue;
    resent = now;
    for (Flight& flight : flights)
      if (flight.probe.expect_allow && !flight.outcome.answered &&
          flight.probe.protocol != k8s::Protocol::kTcp)
        send_once(flight);
  }

  std::vector<Outcome> out;
  out.reserve(flights.size());
  for (Flight& flight : flights) out.push_back(std::move(flight.outcome));
  return out;
}

}  // namespace sallyport::kernel_test
