#include "proxy/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <iostream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/strings.h"
#include "proxy/confine.h"
#include "proxy/control.h"

namespace sallyport::proxy {
namespace {

struct Options {
  int channel = -1;
  int attach = -1;  // a listening socket for the next node; -1: end with the channel
  int workers = 1;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  size_t memory_budget = 0;  // 0: the default
};

Result<Options> parse(int argc, char** argv) {
  Options out;
  for (int i = 2; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 >= argc) return fail(Code::kInvalid, name + ": a value is missing");
    auto number = parse_number<uint64_t>(argv[i + 1]);
    if (!number) return fail(Code::kInvalid, name + ": \"" + argv[i + 1] + "\" is not a number");
    if (name == "--channel-fd" && *number <= 1 << 20)
      out.channel = static_cast<int>(*number);
    else if (name == "--attach-fd" && *number <= 1 << 20)
      out.attach = static_cast<int>(*number);
    else if (name == "--workers" && *number >= 1 && *number <= 256)
      out.workers = static_cast<int>(*number);
    else if (name == "--uid" && *number < UINT32_MAX)
      out.uid = static_cast<uid_t>(*number);
    else if (name == "--gid" && *number < UINT32_MAX)
      out.gid = static_cast<gid_t>(*number);
    else if (name == "--memory-budget" && *number >= 16 << 20)
      out.memory_budget = *number;
    else
      return fail(Code::kInvalid, name + " " + argv[i + 1] + ": unknown option or value");
  }
  if (out.channel < 0) return fail(Code::kInvalid, "--channel-fd is missing");
  if (out.uid.has_value() != out.gid.has_value())
    return fail(Code::kInvalid, "--uid and --gid go together");
  return out;
}

Status serve(const Options& options) {
  SP_TRY(const size_t descriptors, raise_descriptor_limit());
  ::signal(SIGPIPE, SIG_IGN);
  // A terminal's Ctrl-C is the node's to handle: the proxy ends when the channel does.
  ::signal(SIGINT, SIG_IGN);
  Fd channel(options.channel);
  int type = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(channel.get(), SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET)
    return fail(Code::kInvalid, "--channel-fd " + std::to_string(options.channel) +
                                    ": expected a SOCK_SEQPACKET socket");
  const int flags = ::fcntl(channel.get(), F_GETFL);
  if (flags < 0 || ::fcntl(channel.get(), F_SETFL, flags | O_NONBLOCK) != 0 ||
      ::fcntl(channel.get(), F_SETFD, FD_CLOEXEC) != 0)
    return fail_errno("the channel's descriptor");

  Fd attach(options.attach);
  if (attach && ::fcntl(attach.get(), F_SETFD, FD_CLOEXEC) != 0)
    return fail_errno("the descriptor to attach by");

  const SystemClock clock;
  const KernelNetwork network;
  http::Limits limits;
  if (options.memory_budget != 0) limits.memory_budget = options.memory_budget;
  const auto share = static_cast<size_t>(options.workers);
  // Two descriptors per connection and some for the rest; each worker has its share of all.
  limits.connections = std::min(limits.connections, descriptors / 3) / share;
  limits.memory_budget /= share;

  SP_TRY(std::unique_ptr<ControlMailbox> mailbox, ControlMailbox::create());
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<Worker*> all;
  for (size_t i = 0; i < share; ++i) {
    WorkerRequests requests;
    requests.sockets = [&mailbox, i](const std::string& uid, mesh::SocketKind kind, Family family,
                                     int count) { mailbox->ask({i, uid, kind, family, count}); };
    uint64_t seed = 0;
    if (::getrandom(&seed, sizeof seed, 0) != sizeof seed) return fail_errno("getrandom");
    SP_TRY(std::unique_ptr<Worker> worker,
           Worker::create(clock, network, limits, std::move(requests), seed));
    all.push_back(worker.get());
    workers.push_back(std::move(worker));
  }
  SP_CHECK_OK(drop_privileges(options.uid, options.gid));
  std::vector<std::thread> threads;
  threads.reserve(workers.size());
  for (auto& worker : workers) threads.emplace_back([&loop = worker->loop()] { loop.run(); });
  Status result = confine_system_calls();
  if (result) {
    Control control{mesh::Channel(std::move(channel)), *mailbox, all, std::move(attach)};
    result = control.run();
  }
  for (auto& worker : workers) worker->loop().stop();
  for (std::thread& thread : threads) thread.join();
  return result;
}

}  // namespace

int proxy_main(int argc, char** argv) {
  auto options = parse(argc, argv);
  if (!options) {
    std::cerr << "error: " << options.error().message << "\n";
    return 2;
  }
  if (auto served = serve(*options); !served) {
    log_error("proxy", served.error().message);
    return 1;
  }
  return 0;
}

}  // namespace sallyport::proxy
