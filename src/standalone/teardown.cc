#include "standalone/teardown.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "admin/client.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/strings.h"
#include "node/network.h"
#include "runtime/pod_runtime.h"
#include "standalone/state.h"

namespace sallyport::standalone {
namespace {

// Pods have their grace period, and the node some more.
constexpr int kDownSeconds = 60;

bool lives(pid_t pid, uint64_t start_time) {
  auto start = process_start_time(pid);
  return start && *start == start_time;
}

// Processes in the network namespace, with their start times.
std::vector<std::pair<pid_t, uint64_t>> processes_in(int netns) {
  std::vector<std::pair<pid_t, uint64_t>> found;
  struct stat wanted{};
  auto names = list_dir("/proc");
  if (::fstat(netns, &wanted) != 0 || !names) return found;
  for (const std::string& name : *names) {
    auto pid = parse_number<pid_t>(std::string_view(name));
    struct stat its{};
    if (!pid || *pid <= 1 || *pid == ::getpid()) continue;
    if (::stat(("/proc/" + name + "/ns/net").c_str(), &its) != 0) continue;
    if (its.st_dev != wanted.st_dev || its.st_ino != wanted.st_ino) continue;
    if (auto start = process_start_time(*pid)) found.emplace_back(*pid, *start);
  }
  return found;
}

// False where the node does not listen, yet or any more.
bool ask_to_end(const RunPaths& paths) {
  auto client = admin::Client::connect(paths.admin_socket);
  if (!client) return false;
  codec::Value request = codec::Value::map();
  request.set("op", "shutdown");
  if (!client->request(request)) return false;
  auto answer = client->next();
  return answer && !*answer;
}

}  // namespace

void end_processes_in(int netns) {
  for (int round = 0; round < 200; ++round) {
    auto processes = processes_in(netns);
    if (processes.empty()) return;
    for (const auto& [pid, start] : processes) {
      if (lives(pid, start)) ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, WNOHANG);  // where it was our own child
    }
    ::usleep(10'000);
  }
}

void end_process(pid_t pid, uint64_t start_time) {
  if (pid <= 0 || !lives(pid, start_time)) return;
  ::kill(pid, SIGTERM);
  for (int i = 0; i < 200 && lives(pid, start_time); ++i) {
    if (i == 100) ::kill(pid, SIGKILL);
    ::usleep(10'000);
  }
  ::waitpid(pid, nullptr, WNOHANG);  // where it was our own child
}

Status tear_down_dead_run(const RunPaths& paths) {
  RunState state;
  if (auto loaded = load_state(paths.state)) state = std::move(*loaded);
  runtime::PodRuntime::Options options;
  options.state_dir = paths.run;
  options.cgroup_name = paths.cgroup;
  if (auto runtime = runtime::PodRuntime::open(options)) {
    for (const runtime::Sandbox& sandbox : (*runtime)->recover())
      if (auto removed = (*runtime)->remove(sandbox.uid); !removed)
        log_warn("down", removed.error().message);
    for (const PodRecordState& pod : state.pods) (void)(*runtime)->remove(pod.uid);
  }
  for (const ProxyState& proxy : state.proxies)
    end_process(proxy.process.pid, proxy.process.start_time);
  end_process(state.echo_pid, state.echo_start_time);
  // Also an echo server of a node that was killed before it could write its pid down.
  if (Fd outside(::open((paths.run + "/netns/outside").c_str(), O_RDONLY | O_CLOEXEC)); outside)
    end_processes_in(outside.get());
  if (auto removed = node::NodeNetwork::discard(paths.run); !removed)
    log_warn("down", removed.error().message);
  // The pins go with the bpffs, and with them the links: the gate ends last.
  return remove_run_dirs(paths);
}

Status end_run(const std::string& name) {
  SP_TRY(RunPaths paths, run_paths(name));
  bool held = RunLock::held(paths);
  if (!held && !exists(paths.run)) return fail(Code::kNotFound, "there is no run \"" + name + "\"");
  // A node that is still starting does not listen yet, one that ends does not listen any more.
  bool asked = false;
  for (int i = 0; i < kDownSeconds * 20; ++i) {
    if (!held) {
      if (!exists(paths.run)) return {};
      auto lock = RunLock::take(paths);
      if (lock) return tear_down_dead_run(paths);
      if (lock.error().code != Code::kConflict) return std::unexpected(lock.error());
    } else if (!asked) {
      asked = ask_to_end(paths);
    }
    ::usleep(50'000);
    held = RunLock::held(paths);
  }
  return fail(Code::kUnavailable, "the run \"" + name + "\" has not ended within " +
                                      std::to_string(kDownSeconds) + " s");
}

}  // namespace sallyport::standalone
