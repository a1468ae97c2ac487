#include "runtime/process_runtime.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/strings.h"
#include "codec/json.h"
#include "runtime/plan_build.h"
#include "runtime/protocol.h"
#include "runtime/spawn.h"
#include "runtime/status_file.h"

namespace sallyport::runtime {
namespace {

constexpr int kEndTimeoutMs = 10'000;

Result<Fd> netns_of(const ShimIdentity& shim) {
  Fd fd(::open(("/proc/" + std::to_string(shim.pid) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("the pod's network namespace");
  return fd;
}

Status watch_fd(const Fd& epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) != 0) return fail_errno("epoll");
  return {};
}

}  // namespace

bool PodState::ready() const {
  bool any = false;
  for (const ContainerState& c : containers) {
    if (c.init) continue;
    any = true;
    if (c.phase != ContainerState::Phase::kRunning || !c.ready) return false;
  }
  return any;
}

Result<std::unique_ptr<PodRuntime>> PodRuntime::open(Options options) {
  SP_CHECK_OK(make_dirs(options.state_dir + "/pods"));
  SP_TRY(Cgroups cgroups, Cgroups::open(options.cgroup_name));
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno("epoll_create1");
  Fd inotify(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!inotify) return fail_errno("inotify_init1");
  SP_CHECK_OK(watch_fd(epoll, inotify.get()));
  return std::make_unique<ProcessRuntime>(std::move(options), std::move(cgroups), std::move(epoll),
                                          std::move(inotify));
}

ProcessRuntime::ProcessRuntime(Options options, Cgroups cgroups, Fd epoll, Fd inotify)
    : options_(std::move(options)),
      cgroups_(std::move(cgroups)),
      epoll_(std::move(epoll)),
      inotify_(std::move(inotify)),
      probes_(clock_, epoll_.get(),
              [this](const std::string& uid, const std::string& container,
                     const std::string& reason) { restart_container(uid, container, reason); }) {}

ProcessRuntime::~ProcessRuntime() = default;

std::string ProcessRuntime::dir_of(const std::string& uid) const {
  return options_.state_dir + "/pods/" + uid;
}

std::string ProcessRuntime::log_path(const std::string& uid, const std::string& container) {
  return dir_of(uid) + "/" + container + ".log";
}

Status ProcessRuntime::save_plan(const Plan& plan) {
  codec::Value file = codec::Value::map();
  file.set("schema", codec::Value::integer(1));
  file.set("plan", encode_plan(plan));
  return write_file_atomic(dir_of(plan.uid) + "/pod.json", codec::write_json(file), 0600);
}

Status ProcessRuntime::adopt(const std::string& uid, Pod& pod) {
  SP_CHECK_OK(watch_fd(epoll_, pod.pidfd.get()));
  pod.watch = ::inotify_add_watch(inotify_.get(), dir_of(uid).c_str(), IN_MOVED_TO | IN_ONLYDIR);
  if (pod.watch < 0) return fail_errno("watch " + dir_of(uid));
  refresh(uid, pod);
  return {};
}

Result<Sandbox> ProcessRuntime::create(const PodRequest& request) {
  std::lock_guard lock(mutex_);
  SP_TRY(Plan plan,
         make_plan(request, {options_.state_dir, options_.self_exe, options_.restart_backoff_ms}));
  std::string uid = plan.uid, dir = dir_of(uid);
  if (pods_.contains(uid) || exists(dir))
    return fail(Code::kConflict, "pod " + uid + " exists already");
  auto build = [&]() -> Result<Sandbox> {
    SP_CHECK_OK(make_dirs(dir));
    SP_CHECK_OK(save_plan(plan));
    SP_TRY(Fd cgroup, cgroups_.make_pod(uid));
    SP_TRY(SpawnedShim shim, spawn_shim(options_.self_exe, plan, dir, cgroup.get()));
    Pod pod;
    pod.shim.pid = shim.pid;
    pod.pidfd = std::move(shim.pidfd);
    auto finish = [&]() -> Result<Sandbox> {
      SP_TRY(pod.shim.start_time, process_start_time(shim.pid));
      SP_TRY(Fd netns, netns_of(pod.shim));
      SP_CHECK_OK(adopt(uid, pod));
      return Sandbox{uid, pod.shim.pid, pod.shim.start_time, std::move(netns)};
    };
    auto sandbox = finish();
    if (!sandbox) {
      (void)end_shim(pod.shim, pod.pidfd);
      return sandbox;
    }
    pod.plan = std::move(plan);
    pod.request = request;
    probes_.add(pod.plan, dir);
    pods_.emplace(uid, std::move(pod));
    return sandbox;
  };
  auto sandbox = build();
  if (!sandbox) {
    (void)remove_files(uid);
    return fail_in("pod " + request.pod->meta.ns + "/" + request.pod->meta.name, sandbox.error());
  }
  return sandbox;
}

Result<std::pair<codec::Value, std::vector<Fd>>> ProcessRuntime::container_cgroups(Pod& pod) {
  codec::Value list = codec::Value::list();
  std::vector<Fd> fds;
  for (PlannedContainer& container : pod.plan.containers) {
    auto made = cgroups_.make_container(pod.plan.uid, container.name, container.limits);
    codec::Value entry = codec::Value::map();
    if (!made) {
      // A limit that cannot be enforced is a container that does not start.
      if (container.error.empty()) container.error = made.error().message;
      made = ContainerCgroup{};
    }
    entry.set("procs", codec::Value::integer(static_cast<int64_t>(made->procs.size())));
    entry.set("oom", codec::Value::boolean(static_cast<bool>(made->oom)));
    entry.set("kill", codec::Value::boolean(static_cast<bool>(made->kill)));
    for (Fd& fd : made->procs) fds.push_back(std::move(fd));
    for (Fd* fd : {&made->oom, &made->kill})
      if (*fd) fds.push_back(std::move(*fd));
    list.push(std::move(entry));
  }
  return std::pair(std::move(list), std::move(fds));
}

Status ProcessRuntime::start(const std::string& uid) {
  std::lock_guard lock(mutex_);
  auto found = pods_.find(uid);
  if (found == pods_.end()) return fail(Code::kNotFound, "no pod " + uid);
  Pod& pod = found->second;
  if (pod.ended) return fail(Code::kUnavailable, "the pod's shim has ended");
  SP_TRY(auto cgroups, container_cgroups(pod));
  SP_CHECK_OK(save_plan(pod.plan));
  codec::Value body = codec::Value::map();
  body.set("op", "start");
  body.set("plan", encode_plan(pod.plan));
  body.set("cgroups", std::move(cgroups.first));
  std::vector<int> fds;
  for (const Fd& fd : cgroups.second) fds.push_back(fd.get());
  SP_TRY(codec::Value answer, ask_shim(dir_of(uid), body, fds));
  pod.request.reset();
  return {};
}

Status ProcessRuntime::stop(const std::string& uid, int grace_seconds) {
  std::lock_guard lock(mutex_);
  auto found = pods_.find(uid);
  if (found == pods_.end()) return fail(Code::kNotFound, "no pod " + uid);
  if (found->second.ended) return {};
  codec::Value body = codec::Value::map();
  body.set("op", "stop");
  body.set("grace", codec::Value::integer(grace_seconds));
  SP_TRY(codec::Value answer, ask_shim(dir_of(uid), body));
  return {};
}

Status ProcessRuntime::end_shim(const ShimIdentity& shim, const Fd& pidfd) {
  if (::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0) != 0 && errno != ESRCH)
    return fail_errno("end the pod's shim");
  pollfd ended{pidfd.get(), POLLIN, 0};
  for (int attempt = 0; attempt < 3; ++attempt) {
    int ready = ::poll(&ended, 1, kEndTimeoutMs);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return fail(Code::kUnavailable, "the pod's processes did not end in 10 s");
    break;
  }
  ::waitpid(shim.pid, nullptr, WNOHANG);  // ours to reap, unless another node process started it
  return {};
}

Status ProcessRuntime::remove_files(const std::string& uid) {
  Status cgroups = cgroups_.remove_pod(uid);
  Status files = remove_tree(dir_of(uid));
  return cgroups ? files : cgroups;
}

Status ProcessRuntime::remove(const std::string& uid) {
  std::lock_guard lock(mutex_);
  if (auto found = pods_.find(uid); found != pods_.end()) {
    SP_CHECK_OK(end_shim(found->second.shim, found->second.pidfd));
    if (found->second.watch >= 0) ::inotify_rm_watch(inotify_.get(), found->second.watch);
    pods_.erase(found);
    probes_.remove(uid);
  } else if (auto shim = live_shim(dir_of(uid))) {
    SP_TRY(Fd pidfd, open_pidfd(*shim));
    SP_CHECK_OK(end_shim(*shim, pidfd));
  }
  return remove_files(uid);
}

std::vector<Sandbox> ProcessRuntime::recover() {
  std::lock_guard lock(mutex_);
  std::vector<Sandbox> found;
  auto uids = list_dir(options_.state_dir + "/pods");
  for (const std::string& uid : uids ? *uids : std::vector<std::string>()) {
    if (pods_.contains(uid)) continue;
    auto take = [&]() -> Result<Sandbox> {
      SP_TRY(ShimIdentity shim, live_shim(dir_of(uid)));
      SP_TRY(std::string text, read_file(dir_of(uid) + "/pod.json"));
      SP_TRY(codec::Value value, codec::parse_json(text, size_t{64} << 20));
      Pod pod;
      SP_TRY(pod.plan, decode_plan(value["plan"]));
      pod.shim = shim;
      SP_TRY(pod.pidfd, open_pidfd(shim));
      // One that was being made when the node process died dies with it, but not at once; a shim
      // that answers is past that.
      codec::Value ping = codec::Value::map();
      ping.set("op", "ping");
      SP_TRY(codec::Value alive, ask_shim(dir_of(uid), ping));
      SP_TRY(Fd netns, netns_of(shim));
      SP_CHECK_OK(adopt(uid, pod));
      probes_.add(pod.plan, dir_of(uid));
      probes_.update(pod.state);
      pods_.emplace(uid, std::move(pod));
      return Sandbox{uid, shim.pid, shim.start_time, std::move(netns)};
    };
    auto sandbox = take();
    if (sandbox) {
      found.push_back(std::move(*sandbox));
      continue;
    }
    log_warn("runtime",
             "pod " + uid + " is not running any more, cleaning up: " + sandbox.error().message);
    if (auto shim = live_shim(dir_of(uid)))
      if (auto pidfd = open_pidfd(*shim)) (void)end_shim(*shim, *pidfd);
    if (Status done = remove_files(uid); !done) log_warn("runtime", done.error().message);
  }
  for (const std::string& uid : cgroups_.pods())
    if (!pods_.contains(uid)) (void)cgroups_.remove_pod(uid);
  return found;
}

Result<int> ProcessRuntime::exec(const std::string& uid, const std::string& container,
                                 const std::vector<std::string>& command, int in, int out, int err,
                                 int cancel) {
  std::string dir;
  {
    std::lock_guard lock(mutex_);
    if (!pods_.contains(uid)) return fail(Code::kNotFound, "no pod " + uid);
    dir = dir_of(uid);
  }
  int fds[3] = {in, out, err};
  SP_TRY(Fd socket, begin_exec(dir, container, command, fds));
  pollfd polls[2] = {{socket.get(), POLLIN, 0}, {cancel, POLLIN, 0}};
  while (polls[0].revents == 0) {
    // Where both have news, the answer counts.
    if (::poll(polls, 2, -1) < 0 && errno != EINTR) return fail_errno("wait for the command");
    if (polls[1].revents != 0 && polls[0].revents == 0)
      return fail(Code::kUnavailable, "whoever asked for the command has gone");
  }
  SP_TRY(std::optional<Message> answer, receive_message(socket.get()));
  if (!answer) return fail(Code::kUnavailable, "the pod ended while the command ran");
  return exec_result(answer->body);
}

void ProcessRuntime::set_probe_netns(int netns_fd, const std::vector<Ip>& sources) {
  std::lock_guard lock(mutex_);
  probes_.set_netns(-1, {});
  probe_netns_ = Fd(netns_fd < 0 ? -1 : ::fcntl(netns_fd, F_DUPFD_CLOEXEC, 3));
  probes_.set_netns(probe_netns_.get(), sources);
}

void ProcessRuntime::set_pod_ips(const std::string& uid, std::vector<Ip> ips) {
  std::lock_guard lock(mutex_);
  auto found = pods_.find(uid);
  if (found == pods_.end()) return;
  Pod& pod = found->second;
  if (pod.request) {
    // Not started yet: the environment and /etc/hosts name the addresses too.
    pod.request->pod_ips = ips;
    auto plan = make_plan(*pod.request,
                          {options_.state_dir, options_.self_exe, options_.restart_backoff_ms});
    if (plan) pod.plan = std::move(*plan);
  }
  pod.plan.pod_ips = std::move(ips);
  probes_.set_ips(uid, pod.plan.pod_ips);
  if (Status saved = save_plan(pod.plan); !saved) log_warn("runtime", saved.error().message);
}

}  // namespace sallyport::runtime
