#include "standalone/teardown.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "admin/client.h"
#include "base/fs.h"
#include "base/log.h"
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

}  // namespace

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
  end_process(state.echo_pid, state.echo_start_time);
  if (auto network = node::NodeNetwork::open(paths.run)) {
    if (auto removed = (*network)->remove(); !removed) log_warn("down", removed.error().message);
  }
  // The pins go with the bpffs, and with them the links: the gate ends last.
  return remove_run_dirs(paths);
}

Status end_run(const std::string& name) {
  SP_TRY(RunPaths paths, run_paths(name));
  if (!exists(paths.run)) return fail(Code::kNotFound, "there is no run \"" + name + "\"");
  if (!RunLock::held(paths)) {
    SP_TRY(RunLock lock, RunLock::take(paths));
    return tear_down_dead_run(paths);
  }
  SP_TRY(admin::Client client, admin::Client::connect(paths.admin_socket));
  codec::Value request = codec::Value::map();
  request.set("op", "shutdown");
  SP_CHECK_OK(client.request(request));
  while (true) {
    auto record = client.next();
    if (!record || !*record) break;
  }
  for (int i = 0; i < kDownSeconds * 20; ++i) {
    if (!exists(paths.run) && !RunLock::held(paths)) return {};
    ::usleep(50'000);
  }
  return fail(Code::kUnavailable, "the run \"" + name + "\" has not ended within " +
                                      std::to_string(kDownSeconds) + " s");
}

}  // namespace sallyport::standalone
