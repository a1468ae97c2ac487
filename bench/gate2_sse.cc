// Server-sent events for bench/gate2: a server that stamps each event, and a reader of many streams
// that tells how old events are when they arrive. Both run on one machine, on one clock.
//
//   gate2_sse serve PORT INTERVAL_MS              every stream gets an event per interval
//   gate2_sse read IP PORT STREAMS SECONDS PATH   prints {"events":…,"p50_us":…,"p99_us":…}
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

namespace {

constexpr std::string_view kStamp = "\"t\":";

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "gate2_sse: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

int64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

void no_delay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

// About the size of one token's chunk of a model's answer.
std::string event() {
  std::string body = "data: {\"id\":\"chatcmpl-0123456789\",\"object\":\"chat.completion.chunk\"," +
                     std::string(kStamp) + std::to_string(now_ns()) +
                     ",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},"
                     "\"finish_reason\":null}]}\n\n";
  char size[16];
  std::snprintf(size, sizeof(size), "%zx\r\n", body.size());
  return size + body + "\r\n";
}

struct Served {
  int fd = -1;
  std::string request;
  bool streaming = false;
};

int serve(uint16_t port, int interval_ms) {
  signal(SIGPIPE, SIG_IGN);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  if (bind(listener, reinterpret_cast<sockaddr*>(&at), sizeof(at)) != 0) die("bind");
  if (listen(listener, 1024) != 0) die("listen");
  const int poller = epoll_create1(EPOLL_CLOEXEC);
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &wanted);

  std::vector<std::unique_ptr<Served>> clients;
  size_t next = 0;  // the stream that is served next: they take turns within an interval
  int64_t due = now_ns();
  while (true) {
    const int64_t step = interval_ms * 1'000'000LL / std::max<int64_t>(1, std::ssize(clients));
    const int64_t wait = clients.empty() ? 100'000'000 : std::max<int64_t>(0, due - now_ns());
    const timespec limit{wait / 1'000'000'000, wait % 1'000'000'000};
    epoll_event events[64];
    const int n = epoll_pwait2(poller, events, 64, &limit, nullptr);
    for (int i = 0; i < n; ++i) {
      auto* client = static_cast<Served*>(events[i].data.ptr);
      if (client == nullptr) {
        const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) continue;
        no_delay(fd);
        clients.push_back(std::make_unique<Served>());
        clients.back()->fd = fd;
        epoll_event more{};
        more.events = EPOLLIN;
        more.data.ptr = clients.back().get();
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &more);
        continue;
      }
      char part[4096];
      const ssize_t got = recv(client->fd, part, sizeof(part), 0);
      if (got <= 0) {
        close(client->fd);
        std::erase_if(clients, [&](const auto& held) { return held.get() == client; });
        continue;
      }
      client->request.append(part, static_cast<size_t>(got));
      if (client->request.find("\r\n\r\n") == std::string::npos) continue;
      client->request.clear();
      client->streaming = true;
      const std::string head =
          "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
          "Transfer-Encoding: chunked\r\n\r\n";
      send(client->fd, head.data(), head.size(), 0);
    }
    if (clients.empty() || now_ns() < due) continue;
    due = std::max(due + step, now_ns() - 10 * step);
    if (next >= clients.size()) next = 0;
    Served& client = *clients[next++];
    if (!client.streaming) continue;
    const std::string text = event();
    send(client.fd, text.data(), text.size(), 0);
  }
}

struct Reader {
  int fd = -1;
  std::string rest;  // since the last complete line
};

void take(Reader& reader, std::string_view part, int64_t arrived, std::vector<int64_t>& ages) {
  reader.rest += part;
  size_t end = 0;
  while ((end = reader.rest.find('\n')) != std::string::npos) {
    const std::string_view line = std::string_view(reader.rest).substr(0, end);
    const size_t at = line.find(kStamp);
    if (at != std::string_view::npos) {
      ages.push_back(arrived - std::strtoll(line.data() + at + kStamp.size(), nullptr, 10));
    }
    reader.rest.erase(0, end + 1);
  }
}

int read_streams(const char* ip, uint16_t port, int streams, double seconds, const char* path) {
  const int poller = epoll_create1(EPOLL_CLOEXEC);
  std::vector<Reader> readers(static_cast<size_t>(streams));
  for (Reader& reader : readers) {
    reader.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    inet_pton(AF_INET, ip, &to.sin_addr);
    if (connect(reader.fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) die("connect");
    no_delay(reader.fd);
    const std::string request = std::string("GET ") + path +
                                " HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n";
    if (send(reader.fd, request.data(), request.size(), 0) < 0) die("send");
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    wanted.data.ptr = &reader;
    epoll_ctl(poller, EPOLL_CTL_ADD, reader.fd, &wanted);
  }
  std::vector<int64_t> ages, warm;
  const int64_t start = now_ns();
  const auto warm_until = start + 500'000'000;
  const auto end = warm_until + static_cast<int64_t>(seconds * 1e9);
  while (now_ns() < end) {
    epoll_event events[64];
    const int n = epoll_wait(poller, events, 64, 100);
    for (int i = 0; i < n; ++i) {
      auto& reader = *static_cast<Reader*>(events[i].data.ptr);
      char part[16384];
      const ssize_t got = recv(reader.fd, part, sizeof(part), MSG_DONTWAIT);
      if (got == 0) die("a stream ended");
      if (got < 0) continue;
      const int64_t arrived = now_ns();
      take(reader, {part, static_cast<size_t>(got)}, arrived, arrived < warm_until ? warm : ages);
    }
  }
  if (ages.empty()) die("no events");
  std::ranges::sort(ages);
  const auto at = [&](double share) {
    return static_cast<double>(ages[static_cast<size_t>(share * (double(ages.size()) - 1))]) / 1e3;
  };
  std::printf("{\"events\":%zu,\"p50_us\":%.1f,\"p99_us\":%.1f}\n", ages.size(), at(0.5), at(0.99));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4 && std::string_view(argv[1]) == "serve") {
    return serve(static_cast<uint16_t>(std::atoi(argv[2])), std::atoi(argv[3]));
  }
  if (argc == 7 && std::string_view(argv[1]) == "read") {
    return read_streams(argv[2], static_cast<uint16_t>(std::atoi(argv[3])), std::atoi(argv[4]),
                        std::atof(argv[5]), argv[6]);
  }
  std::fprintf(stderr,
               "usage: gate2_sse serve PORT INTERVAL_MS | read IP PORT STREAMS SECONDS PATH\n");
  return 2;
}
