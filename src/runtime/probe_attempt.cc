#include "runtime/probe_attempt.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/fd.h"
#include "base/strings.h"
#include "net/netlink.h"
#include "net/netns.h"
#include "runtime/protocol.h"
#include "runtime/shim_client.h"

namespace sallyport::runtime {
namespace {

constexpr size_t kAnswerLimit = 4096;  // only the status line counts

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress socket_address(const Ip& ip, int port, int scope = 0) {
  SocketAddress made;
  if (ip.family() == Family::kV4) {
    auto* address = reinterpret_cast<sockaddr_in*>(&made.storage);
    *address = {AF_INET, htons(static_cast<uint16_t>(port)), {htonl(ip.v4_host_order())}, {}};
    made.length = sizeof *address;
  } else {
    auto* address = reinterpret_cast<sockaddr_in6*>(&made.storage);
    address->sin6_family = AF_INET6;
    address->sin6_port = htons(static_cast<uint16_t>(port));
    std::memcpy(&address->sin6_addr, ip.bytes.data(), 16);
    address->sin6_scope_id = static_cast<uint32_t>(scope);
    made.length = sizeof *address;
  }
  return made;
}

// The port is chosen at connect(), when the whole connection must be unique, not the port alone.
Status begin_at(const Fd& socket, int netns, const Ip& source, const Ip& destination) {
  int scope = 0;
  if (source.family() == Family::kV6 && source.bytes[0] == 0xfe &&
      (source.bytes[1] & 0xc0) == 0x80) {
    SP_TRY(net::Netlink links, net::Netlink::open(netns));
    SP_TRY(scope, links.way_to(destination));
  }
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  SocketAddress address = socket_address(source, 0, scope);
  if (::bind(socket.get(), address.get(), address.length) != 0)
    return fail_errno("bind to the source of probes " + source.to_string());
  return {};
}

Result<Fd> begin_connect(const ProbeTarget& target, const Ip& ip, int port) {
  int netns = target.netns;
  bool v4 = ip.family() == Family::kV4;
  int domain = v4 ? AF_INET : AF_INET6, type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  Fd socket;
  if (netns < 0) {
    socket = Fd(::socket(domain, type, 0));
    if (!socket) return fail_errno("socket");
  } else {
    SP_TRY(socket, net::socket_in(netns, domain, type, 0));
  }
  if (std::find(target.pod_ips.begin(), target.pod_ips.end(), ip) != target.pod_ips.end()) {
    for (const Ip& source : target.sources)
      if (source.family() == ip.family()) SP_CHECK_OK(begin_at(socket, netns, source, ip));
  }
  SocketAddress address = socket_address(ip, port);
  if (::connect(socket.get(), address.get(), address.length) != 0 && errno != EINPROGRESS)
    return fail_errno("connect to port " + std::to_string(port));
  return socket;
}

// A TCP connection; with a request, the first line of the answer to it.
class ConnectionAttempt : public ProbeAttempt {
 public:
  ConnectionAttempt(Fd socket, std::string request)
      : socket_(std::move(socket)), request_(std::move(request)), http_(!request_.empty()) {}

  std::optional<ProbeResult> advance() override {
    if (!connected_) {
      sockaddr_storage peer{};
      socklen_t length = sizeof peer;
      int error = 0;
      socklen_t error_length = sizeof error;
      ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &error_length);
      if (error != 0) return ProbeResult{false, fail_errno("connect", error).error().message};
      if (::getpeername(socket_.get(), reinterpret_cast<sockaddr*>(&peer), &length) != 0)
        return std::nullopt;
      connected_ = true;
      if (!http_) return ProbeResult{true, ""};
    }
    while (!request_.empty()) {
      ssize_t n = ::send(socket_.get(), request_.data(), request_.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EAGAIN) return std::nullopt;
      if (n < 0) return ProbeResult{false, fail_errno("send").error().message};
      request_.erase(0, static_cast<size_t>(n));
    }
    char bytes[1024];
    while (answer_.size() < kAnswerLimit) {
      ssize_t n = ::recv(socket_.get(), bytes, sizeof bytes, 0);
      if (n < 0 && errno == EAGAIN) return http_probe_result(answer_, false);
      if (n <= 0) return http_probe_result(answer_, true);
      answer_.append(bytes, static_cast<size_t>(n));
    }
    return http_probe_result(answer_, true);
  }
  [[nodiscard]] int fd() const override { return socket_.get(); }
  [[nodiscard]] bool wants_write() const override { return !connected_ || !request_.empty(); }

 private:
  Fd socket_;
  std::string request_, answer_;
  bool http_;
  bool connected_ = false;
};

class ExecAttempt : public ProbeAttempt {
 public:
  explicit ExecAttempt(Fd socket) : socket_(std::move(socket)) {}

  std::optional<ProbeResult> advance() override {
    auto answer = receive_message(socket_.get());
    if (!answer && answer.error().code == Code::kUnavailable) return std::nullopt;
    if (!answer) return ProbeResult{false, answer.error().message};
    const std::optional<Message>& message = *answer;
    if (!message) return ProbeResult{false, "the pod's shim closed the connection"};
    auto status = exec_result(message->body);
    if (!status) return ProbeResult{false, status.error().message};
    if (*status == 0) return ProbeResult{true, ""};
    return ProbeResult{false, "the command exited with " + std::to_string(*status)};
  }
  [[nodiscard]] int fd() const override { return socket_.get(); }
  [[nodiscard]] bool wants_write() const override { return false; }

 private:
  Fd socket_;
};

bool has_line_break(std::string_view text) {
  return text.find_first_of("\r\n") != std::string_view::npos;
}

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return (x | 0x20) == (y | 0x20); });
}

}  // namespace

Result<std::string> http_probe_request(const k8s::Probe& probe, const Ip& ip) {
  std::string path = probe.path.starts_with('/') ? probe.path : "/" + probe.path;
  std::string host = ip.family() == Family::kV4 ? ip.to_string() : "[" + ip.to_string() + "]";
  std::vector<std::pair<std::string, std::string>> headers{
      {"Host", host + ":" + std::to_string(probe.port.number)},
      {"User-Agent", "kube-probe/1.33"},
      {"Accept", "*/*"},
      {"Connection", "close"}};
  for (const auto& [name, value] : probe.headers) {
    auto same = std::find_if(headers.begin(), headers.end(),
                             [&](const auto& h) { return same_name(h.first, name); });
    if (same == headers.end())
      headers.emplace_back(name, value);
    else
      same->second = value;
  }
  std::string request = "GET " + path + " HTTP/1.1\r\n";
  if (has_line_break(path)) return fail(Code::kInvalid, "httpGet.path has a line break");
  for (const auto& [name, value] : headers) {
    if (has_line_break(name) || has_line_break(value))
      return fail(Code::kInvalid, "httpGet.httpHeaders has a line break");
    request.append(name).append(": ").append(value).append("\r\n");
  }
  return request + "\r\n";
}

std::optional<ProbeResult> http_probe_result(std::string_view answer, bool closed) {
  size_t end = answer.find('\n');
  if (end == std::string_view::npos && !closed) return std::nullopt;
  std::string_view line = answer.substr(0, end);
  if (line.starts_with("HTTP/1.") && line.size() >= 12 && line[8] == ' ')
    if (auto status = parse_number<int>(line.substr(9, 3)))
      return ProbeResult{*status >= 200 && *status < 400, "HTTP status " + std::to_string(*status)};
  return ProbeResult{false, answer.empty() ? "the connection was closed without an answer"
                                           : "the answer is not HTTP"};
}

Result<std::unique_ptr<ProbeAttempt>> begin_probe(const k8s::Probe& probe,
                                                  const ProbeTarget& target) {
  if (probe.kind == k8s::Probe::Kind::kExec) {
    Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null) return fail_errno("/dev/null");
    int fds[3] = {null.get(), null.get(), null.get()};
    SP_TRY(Fd socket, begin_exec(target.pod_dir, target.container, probe.command, fds));
    if (::fcntl(socket.get(), F_SETFL, O_NONBLOCK) != 0) return fail_errno("fcntl");
    return std::make_unique<ExecAttempt>(std::move(socket));
  }
  std::optional<Ip> ip = target.ip;
  if (!probe.host.empty()) {
    auto parsed = Ip::parse(probe.host);
    if (!parsed) return fail(Code::kInvalid, "host " + probe.host + ": expected an IP address");
    ip = *parsed;
  }
  if (!ip) return fail(Code::kUnavailable, "the pod has no address yet");
  std::string request;
  if (probe.kind == k8s::Probe::Kind::kHttpGet) {
    SP_TRY(request, http_probe_request(probe, *ip));
  }
  SP_TRY(Fd socket, begin_connect(target, *ip, probe.port.number));
  return std::make_unique<ConnectionAttempt>(std::move(socket), std::move(request));
}

}  // namespace sallyport::runtime
