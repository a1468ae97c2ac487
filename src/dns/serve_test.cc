// The whole server as a process on loopback, asked by `dig` and by plain sockets.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>

#include "base/fd.h"
#include "base/fs.h"
#include "base/log.h"
#include "dns/server.h"
#include "dns/socket.h"
#include "dns/test_packets.h"

namespace sallyport::dns {
namespace {

constexpr char kName[] = "web.shop.svc.cluster.local";

Zone zone(const char* address) {
  Zone zone;
  zone.addresses[kName] = {*Ip::parse(address), *Ip::parse("fd00::1")};
  zone.services["_http._tcp.web.shop.svc.cluster.local"] = {{80, kName}};
  zone.pointers["1.0.19.198.in-addr.arpa"] = kName;
  for (uint32_t i = 1; i <= 200; ++i)
    zone.addresses["many.shop.svc.cluster.local"].push_back(Ip::v4(0xc6120000U + i));
  return zone;
}

bool has_v6() {
  const Fd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 where{};
  where.sin6_family = AF_INET6;
  where.sin6_addr = in6addr_loopback;
  return fd && ::bind(fd.get(), reinterpret_cast<sockaddr*>(&where), sizeof(where)) == 0;
}

class DnsServe : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sallyport-dns-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    dir_ = name;
    write("198.19.0.1");
    // Another process may take the port in between: then the server ends with 1, and again.
    for (int attempt = 0; attempt < 10 && pid_ <= 0; ++attempt) start();
    ASSERT_GT(pid_, 0);
  }
  void TearDown() override {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    std::filesystem::remove_all(dir_);
  }
  void write(const char* address) const {
    ASSERT_TRUE(write_file_atomic(dir_ + "/records", write_zone(zone(address))).has_value());
  }
  void start() {
    {
      auto probe = bound_socket(Family::kV4, SOCK_DGRAM, 0);
      ASSERT_TRUE(probe.has_value());
      sockaddr_in where{};
      socklen_t length = sizeof(where);
      ASSERT_EQ(::getsockname(probe->get(), reinterpret_cast<sockaddr*>(&where), &length), 0);
      port_ = ntohs(where.sin_port);
    }
    pid_ = ::fork();
    if (pid_ == 0) {
      set_log_level(LogLevel::kError);
      const std::string records = dir_ + "/records";
      const std::string port = std::to_string(port_);
      const std::array<const char*, 5> argv = {"dns", "--records", records.c_str(), "--port",
                                               port.c_str()};
      ::_exit(dns_main(static_cast<int>(argv.size()), const_cast<char**>(argv.data())));
    }
    for (int i = 0; i < 300; ++i) {
      if (ask(INADDR_LOOPBACK, kName, 1, 50).size() > 12) return;
      if (::waitpid(pid_, nullptr, WNOHANG) == pid_) break;
    }
    pid_ = -1;
  }
  // The answer to a query from a socket that only takes packets from the address it asked.
  [[nodiscard]] test::Packet ask(uint32_t server, std::string_view name, int type,
                                 int wait_ms = 2000) const {
    const Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(server);
    where.sin_port = htons(port_);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&where), sizeof(where)), 0);
    const test::Packet packet = test::query(name, type);
    if (::send(fd.get(), packet.data(), packet.size(), 0) < 0) return {};
    pollfd state{fd.get(), POLLIN, 0};
    if (::poll(&state, 1, wait_ms) != 1) return {};
    test::Packet reply(2000);
    const ssize_t got = ::recv(fd.get(), reply.data(), reply.size(), 0);
    if (got < 0) {
      ::usleep(10'000);  // refused: not listening yet
      return {};
    }
    reply.resize(static_cast<size_t>(got));
    return reply;
  }
  [[nodiscard]] std::string dig(const std::string& arguments) const {
    const std::string command =
        "dig -p " + std::to_string(port_) + " +tries=2 +time=3 +nocookie " + arguments + " 2>&1";
    std::string text;
    FILE* pipe = ::popen(command.c_str(), "re");
    if (pipe == nullptr) return "popen failed";
    std::array<char, 4096> chunk;
    while (const size_t got = ::fread(chunk.data(), 1, chunk.size(), pipe))
      text.append(chunk.data(), got);
    ::pclose(pipe);
    return text;
  }

  std::string dir_;
  uint16_t port_ = 0;
  pid_t pid_ = -1;
};

TEST_F(DnsServe, DigGetsAddressesOverUdpAndTcpAndBothFamilies) {
  const std::string v6 = has_v6() ? "@::1" : "@127.0.0.1";
  for (const std::string& how : {std::string("@127.0.0.1"), std::string("@127.0.0.1 +tcp"), v6,
                                 v6 + " +tcp", std::string("@127.0.0.1 +noedns")}) {
    EXPECT_EQ(dig(how + " +short web.shop.svc.cluster.local A"), "198.19.0.1\n") << how;
    EXPECT_EQ(dig(how + " +short web.shop.svc.cluster.local AAAA"), "fd00::1\n") << how;
  }
}

TEST_F(DnsServe, DigReadsAllKindsOfAnswers) {
  EXPECT_EQ(dig("@127.0.0.1 +short _http._tcp.web.shop.svc.cluster.local SRV"),
            "0 100 80 web.shop.svc.cluster.local.\n");
  EXPECT_EQ(dig("@127.0.0.1 +short -x 198.19.0.1"), "web.shop.svc.cluster.local.\n");
  EXPECT_NE(dig("@127.0.0.1 nothing.cluster.local A").find("status: NXDOMAIN"), std::string::npos);
  EXPECT_NE(dig("@127.0.0.1 example.com A").find("status: NXDOMAIN"), std::string::npos);
  EXPECT_NE(dig("@127.0.0.1 web.shop.svc.cluster.local ANY").find("status: REFUSED"),
            std::string::npos);
  EXPECT_NE(dig("@127.0.0.1 version.bind CH TXT").find("status: REFUSED"), std::string::npos);
  const std::string nodata = dig("@127.0.0.1 web.shop.svc.cluster.local MX");
  EXPECT_NE(nodata.find("status: NOERROR"), std::string::npos);
  EXPECT_NE(nodata.find("SOA\tns.dns.cluster.local. hostmaster.cluster.local."), std::string::npos)
      << nodata;
  EXPECT_NE(dig("@127.0.0.1 +ednsopt=10:0011223344556677 WeB.shop.svc.cluster.local A")
                .find("WeB.shop.svc.cluster.local."),
            std::string::npos);
  for (const std::string& text : {nodata, dig("@127.0.0.1 cluster.local SOA")}) {
    EXPECT_EQ(text.find("WARNING: Message"), std::string::npos) << text;
    EXPECT_EQ(text.find("malformed"), std::string::npos);
  }
}

TEST_F(DnsServe, DigFallsBackToTcp) {
  const std::string all = dig("@127.0.0.1 +short many.shop.svc.cluster.local A");
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 200) << all.substr(0, 300);
  const std::string cut = dig("@127.0.0.1 +ignore many.shop.svc.cluster.local A");
  EXPECT_NE(cut.find("flags: qr aa tc rd"), std::string::npos) << cut;
}

TEST_F(DnsServe, AnswersComeFromTheAddressThatWasAsked) {
  for (const uint32_t server : {0x7f000001U, 0x7f000005U, 0x7f010203U}) {
    test::Answer answer(ask(server, kName, 1));
    EXPECT_TRUE(answer.valid);
    EXPECT_EQ(answer.answers.size(), 1u);
  }
}

TEST_F(DnsServe, ANewFileIsServedAtOnceAndAWrongOneIsNot) {
  write("198.19.0.99");
  auto address = [&] {
    test::Answer answer(ask(INADDR_LOOPBACK, kName, 1));
    return answer.answers.empty() ? 0 : int{answer.answers[0].data.back()};
  };
  for (int i = 0; i < 100 && address() != 99; ++i) ::usleep(5'000);
  EXPECT_EQ(address(), 99);
  ASSERT_TRUE(write_file_atomic(dir_ + "/records", "broken").has_value());
  ::usleep(50'000);
  EXPECT_EQ(address(), 99);
  std::filesystem::remove(dir_ + "/records");
  ::usleep(50'000);
  EXPECT_EQ(address(), 99);
}

TEST_F(DnsServe, EndsAtASignal) {
  ASSERT_EQ(::kill(pid_, SIGTERM), 0);
  int status = -1;
  for (int i = 0; i < 500 && ::waitpid(pid_, &status, WNOHANG) == 0; ++i) ::usleep(10'000);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  pid_ = -1;
}

TEST_F(DnsServe, StaysUpUnderNonsense) {
  const Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  where.sin_port = htons(port_);
  for (size_t length = 0; length < 5000; length += 7) {
    const std::string junk(length, static_cast<char>(length));
    ::sendto(fd.get(), junk.data(), junk.size(), 0, reinterpret_cast<sockaddr*>(&where),
             sizeof(where));
  }
  EXPECT_GT(ask(INADDR_LOOPBACK, kName, 1).size(), 12u);
}

int run(std::vector<const char*> argv) {
  return dns_main(static_cast<int>(argv.size()), const_cast<char**>(argv.data()));
}

TEST(DnsMain, ChecksItsArguments) {
  EXPECT_EQ(run({"dns", "--help"}), 0);
  EXPECT_EQ(run({"dns"}), 2);
  EXPECT_EQ(run({"dns", "--records"}), 2);
  EXPECT_EQ(run({"dns", "--records", "x", "--port", "0"}), 2);
  EXPECT_EQ(run({"dns", "--records", "x", "--port", "65536"}), 2);
  EXPECT_EQ(run({"dns", "--records", "x", "--nonsense", "1"}), 2);
  EXPECT_EQ(run({"dns", "--records", "/nonexistent/records", "--port", "53"}), 1);
}

}  // namespace
}  // namespace sallyport::dns
