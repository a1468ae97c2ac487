// A TLS client for bench/gate2: full mutual handshakes one after the other, or many idle
// connections at once. It proves each handshake: a server that refuses the certificate says so only
// after the client has finished.
//
//   gate2_tls handshake|hold IP PORT --cert F --key F --ca F [--alpn NAME] [--group NAME]
//             [--count N] [--mark N] [--host NAME] [--sni NAME]
//
// handshake: N times connect, handshake, close; prints {"count":N,"wall_us":…}.
// hold: N connections with one request each; prints {"count":N}, waits for the end of stdin.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace {

struct Options {
  std::string mode, ip;
  uint16_t port = 0;
  std::map<std::string, std::string> more;
  [[nodiscard]] std::string get(const std::string& key, const std::string& otherwise = "") const {
    const auto it = more.find(key);
    return it == more.end() ? otherwise : it->second;
  }
};

[[noreturn]] void die(const std::string& what) {
  char text[256] = "";
  if (const auto code = ERR_peek_error()) ERR_error_string_n(code, text, sizeof(text));
  std::fprintf(stderr, "gate2_tls: %s %s\n", what.c_str(), text);
  std::exit(1);
}

int dial(const Options& options) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  const timeval limit{10, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  if (const auto mark = static_cast<uint32_t>(std::stoul(options.get("mark", "0")))) {
    if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) != 0) die("SO_MARK");
  }
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(options.port);
  if (inet_pton(AF_INET, options.ip.c_str(), &to.sin_addr) != 1) die("address");
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) {
    die(std::string("connect: ") + std::strerror(errno));
  }
  return fd;
}

using Context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

Context make_context(const Options& options) {
  Context out(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  SSL_CTX* ctx = out.get();
  SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  if (SSL_CTX_use_certificate_chain_file(ctx, options.get("cert").c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(ctx, options.get("key").c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_load_verify_locations(ctx, options.get("ca").c_str(), nullptr) != 1) {
    die("certificates");
  }
  // The chain is checked, the name is not: the peers' servers have none of DNS.
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, nullptr);
  if (SSL_CTX_set1_groups_list(ctx, options.get("group", "X25519").c_str()) != 1) die("group");
  const std::string alpn = options.get("alpn");
  if (!alpn.empty()) {
    const std::string wire = std::string(1, static_cast<char>(alpn.size())) + alpn;
    SSL_CTX_set_alpn_protos(ctx, reinterpret_cast<const uint8_t*>(wire.data()),
                            static_cast<unsigned>(wire.size()));
  }
  return out;
}

struct Connection {
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl{nullptr, SSL_free};
  int fd = -1;
};

Connection shake(const Context& context, const Options& options) {
  Connection out;
  out.fd = dial(options);
  out.ssl.reset(SSL_new(context.get()));
  SSL_set_fd(out.ssl.get(), out.fd);
  const std::string sni = options.get("sni");
  if (!sni.empty()) SSL_set_tlsext_host_name(out.ssl.get(), sni.c_str());
  if (SSL_connect(out.ssl.get()) != 1) die("handshake");
  return out;
}

// Our end first; then an alert tells where the server was not content. Some close without a word.
void finish(Connection& connection) {
  SSL_shutdown(connection.ssl.get());
  char byte;
  SSL_read(connection.ssl.get(), &byte, 1);
  const uint32_t error = ERR_peek_error();
  if (error != 0 && ERR_GET_REASON(error) > SSL_AD_REASON_OFFSET) {
    die("the server refused after the handshake:");
  }
  ERR_clear_error();
  close(connection.fd);
}

void ask(Connection& connection, const std::string& host) {
  const std::string request = "GET /1k HTTP/1.1\r\nHost: " + host + "\r\n\r\n";
  if (SSL_write(connection.ssl.get(), request.data(), static_cast<int>(request.size())) <= 0) {
    die("write");
  }
  std::string answer;
  char part[4096];
  while (true) {
    const int n = SSL_read(connection.ssl.get(), part, sizeof(part));
    if (n <= 0) die("read: the answer ended early after " + std::to_string(answer.size()));
    answer.append(part, static_cast<size_t>(n));
    const size_t end = answer.find("\r\n\r\n");
    if (end == std::string::npos) continue;
    if (!answer.starts_with("HTTP/1.1 200")) die("answered: " + answer.substr(0, 60));
    if (answer.size() >= end + 4 + 1024) return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: gate2_tls handshake|hold IP PORT [--NAME VALUE]...\n");
    return 2;
  }
  Options options{argv[1], argv[2], static_cast<uint16_t>(std::stoi(argv[3])), {}};
  for (int i = 4; i + 1 < argc; i += 2) options.more[std::string(argv[i]).substr(2)] = argv[i + 1];
  const Context context = make_context(options);
  const int count = std::stoi(options.get("count", "1"));
  if (options.mode == "handshake") {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < count; ++i) {
      Connection connection = shake(context, options);
      finish(connection);
    }
    const auto wall = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now() - start);
    std::printf("{\"count\":%d,\"wall_us\":%lld}\n", count, static_cast<long long>(wall.count()));
    return 0;
  }
  std::vector<Connection> held;
  held.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    held.push_back(shake(context, options));
    ask(held.back(), options.get("host", "bench"));
  }
  std::printf("{\"count\":%d}\n", count);
  std::fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0) {
  }
  return 0;
}
