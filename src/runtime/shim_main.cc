// `sallyport shim STATE_PATH PLAN_FD READY_FD`: from a fresh process in new namespaces to a waiting
// shim. Started only by spawn_shim().
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>

#include "base/fs.h"
#include "base/strings.h"
#include "codec/json.h"
#include "runtime/oom_score.h"
#include "runtime/pod_runtime.h"
#include "runtime/protocol.h"
#include "runtime/shim.h"
#include "runtime/shim_layout.h"
#include "runtime/shim_setup.h"

namespace sallyport::runtime {
namespace {

// The mounted /proc is still the host's: it knows this process by its pid there.
Status write_identity(const std::string& state_path) {
  char link[32];
  ssize_t n = ::readlink("/proc/self", link, sizeof link);
  if (n <= 0) return fail_errno("/proc/self");
  auto pid = parse_number<pid_t>(std::string_view(link, static_cast<size_t>(n)));
  if (!pid) return fail(Code::kInternal, "/proc/self is not a number");
  SP_TRY(uint64_t start, process_start_time(*pid));
  codec::Value value = codec::Value::map();
  value.set("schema", codec::Value::integer(1));
  value.set("pid", codec::Value::integer(*pid));
  value.set("startTime", codec::Value::integer(static_cast<int64_t>(start)));
  return write_file_atomic(state_path + "/shim.json", codec::write_json(value), 0600);
}

Result<Fd> block_signals() {
  sigset_t all;
  ::sigfillset(&all);
  if (::sigprocmask(SIG_SETMASK, &all, nullptr) != 0) return fail_errno("sigprocmask");
  sigset_t children;
  ::sigemptyset(&children);
  ::sigaddset(&children, SIGCHLD);
  Fd fd(::signalfd(-1, &children, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!fd) return fail_errno("signalfd");
  return fd;
}

Result<Shim> prepare(const std::string& state_path, int plan_fd) {
  // Container processes with uid 0 may neither trace the shim nor follow /proc/1/root.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail_errno("prctl");
  SP_TRY(std::string text, read_memory_file(plan_fd));
  SP_TRY(codec::Value value, codec::parse_json(text, size_t{64} << 20));
  SP_TRY(Plan plan, decode_plan(value));
  SP_TRY(Fd signals, block_signals());
  SP_CHECK_OK(write_identity(state_path));
  // Under memory pressure a container is killed and restarted; without its shim the pod is lost.
  set_oom_score(-998);
  SP_CHECK_OK(set_up_shim(plan, state_path));
  SP_TRY(Fd listener, listen_in(layout::kState, "shim.sock"));
  return Shim(std::move(plan), std::move(listener), std::move(signals));
}

}  // namespace

int shim_main(int argc, char** argv) {
  // argv[0] is the program, argv[1] "shim".
  if (argc != 5 || ::getpid() != 1) {
    constexpr std::string_view kText = "sallyport shim is started by `sallyport up` only\n";
    return ::write(2, kText.data(), kText.size()) < 0 ? 1 : 2;
  }
  auto plan_fd = parse_number<int>(std::string_view(argv[3]));
  auto ready_fd = parse_number<int>(std::string_view(argv[4]));
  if (!plan_fd || !ready_fd) return 2;
  for (int fd : {*plan_fd, *ready_fd})
    if (!set_cloexec(fd, true)) return 2;
  Fd plan_file(*plan_fd), ready(*ready_fd);

  auto shim = prepare(argv[2], plan_file.get());
  plan_file.reset();
  std::string answer = shim ? "ok" : shim.error().message;
  // From here on the pod outlives the process that made it; before, it dies with it.
  if (shim && ::prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) != 0) ::_exit(1);
  if (::write(ready.get(), answer.data(), answer.size()) < 0 || !shim) ::_exit(1);
  ready.reset();
  shim->run();
  ::_exit(1);
}

}  // namespace sallyport::runtime
