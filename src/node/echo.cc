#include "node/echo.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

#include "base/fd.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/strings.h"
#include "net/netns.h"
#include "net/spawn.h"
#include "node/echo_server.h"

namespace sallyport::node {
namespace {

constexpr uint16_t kPorts[] = {7, 53, 80, 443, 8080, 8443, 9000};
constexpr size_t kMostPorts = 64;

Result<std::vector<uint16_t>> ports_of(int argc, char** argv) {
  std::vector<uint16_t> ports;
  for (int i = 1; i < argc; ++i) {
    auto port = parse_number<uint16_t>(argv[i]);
    if (!port || *port == 0 || ports.size() == kMostPorts)
      return fail(Code::kInvalid, "echo: \"" + std::string(argv[i]) +
                                      "\", expected at most 64 ports of 1 to 65535");
    ports.push_back(*port);
  }
  if (ports.empty()) ports.assign(std::begin(kPorts), std::end(kPorts));
  return ports;
}

// Whether something listens on the TCP port of the echo protocol there.
bool answers(int netns) {
  auto fd = net::socket_in(netns, AF_INET, SOCK_STREAM, 0);
  if (!fd) return false;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kPorts[0]);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return ::connect(fd->get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

int echo_main(int argc, char** argv) {
  auto ports = ports_of(argc, argv);
  if (!ports) {
    log_error("echo", ports.error().message);
    return 2;
  }
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t ending;
  ::sigemptyset(&ending);
  ::sigaddset(&ending, SIGTERM);
  ::sigaddset(&ending, SIGINT);
  ::sigprocmask(SIG_BLOCK, &ending, nullptr);
  Fd stop(::signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK));
  auto server = EchoServer::open(*ports, stop.get());
  Status ran = server ? (*server)->run() : Status(std::unexpected(server.error()));
  if (ran) return 0;
  log_error("echo", ran.error().message);
  return 1;
}

Result<pid_t> start_echo(int outside_netns, const std::string& self_exe) {
  SP_TRY(pid_t pid, net::start_in(outside_netns, {self_exe, "echo"}));
  for (int tries = 0; tries < 1000; ++tries) {
    if (answers(outside_netns)) return pid;
    int status = 0;
    if (::waitpid(pid, &status, WNOHANG) == pid)
      return fail(Code::kInternal, "the echo server of the outside world ended at once");
    ::usleep(5000);
  }
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  return fail(Code::kUnavailable, "the echo server of the outside world did not start within 5 s");
}

}  // namespace sallyport::node
