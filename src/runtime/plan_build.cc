#include "runtime/plan_build.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/fs.h"
#include "base/strings.h"
#include "runtime/capabilities.h"
#include "runtime/env.h"

namespace sallyport::runtime {
namespace {

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
constexpr bool kLeakSanitizer = true;  // it traces itself at exit, which a container may not
#else
constexpr bool kLeakSanitizer = false;
#endif

constexpr int64_t kMaxId = 2147483647;  // as Kubernetes validates user and group ids

bool is_file_name(const std::string& name) {
  return !name.empty() && name.size() < 254 && name != "." && name != ".." &&
         name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
}

std::string hosts_file(const PodRequest& request) {
  std::string out = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
  const k8s::Pod& pod = *request.pod;
  std::string full;
  if (!pod.spec.subdomain.empty())
    for (const std::string& search : request.dns_searches)
      if (full.empty() && search.starts_with(pod.meta.ns + ".svc."))
        full = request.hostname + "." + pod.spec.subdomain + "." + search + "\t";
  for (const Ip& ip : request.pod_ips)
    out += ip.to_string() + "\t" + full + request.hostname + "\n";
  return out;
}

std::string resolv_conf(const PodRequest& request) {
  std::string out;
  if (!request.dns_searches.empty()) out += "search " + join(request.dns_searches, " ") + "\n";
  for (const std::string& server : request.dns_servers) out += "nameserver " + server + "\n";
  return out + "options ndots:5\n";
}

bool below(const std::string& path, const std::string& dir) {
  return path == dir || path.starts_with(dir + "/");
}

// What is hidden beside the directories that every container has empty; also under their real names
// where the host has symbolic links.
std::vector<std::string> masks(const std::string& state_dir) {
  const std::vector<std::string> always{"/run", "/root", "/home", "/tmp", "/var/tmp"};
  std::vector<std::string> wanted{"/var/lib/sallyport", state_dir}, out;
  for (const std::string& path : always) wanted.push_back(path);
  for (const std::string& path : std::vector<std::string>(wanted)) {
    char real[PATH_MAX];
    if (::realpath(path.c_str(), real)) wanted.emplace_back(real);
  }
  for (const std::string& path : wanted) {
    bool covered = path.size() < 2 || path.front() != '/';
    for (const std::string& dir : always) covered = covered || below(path, dir);
    for (const std::string& dir : out) covered = covered || below(path, dir);
    if (!covered) out.push_back(path);
  }
  return out;
}

void resolve_probe(std::optional<k8s::Probe>& probe, const k8s::Container& container,
                   std::string& error) {
  if (!probe || !probe->port.is_name()) return;
  for (const k8s::ContainerPort& port : container.ports)
    if (port.name == probe->port.name) {
      probe->port.number = port.port;
      return;
    }
  if (error.empty()) error = "probe: the container has no port named " + probe->port.name;
}

void plan_command(const k8s::Container& container, const Env& env, PlannedContainer& planned) {
  if (container.command.empty()) {
    planned.error =
        "no command: programs come from the host's file system, so an image has no entrypoint "
        "here; "
        "set `command`";
    return;
  }
  auto lookup = [&](const std::string& name) { return find_env(env, name); };
  for (const auto* list : {&container.command, &container.args})
    for (const std::string& word : *list) planned.argv.push_back(expand_references(word, lookup));
  for (const std::string& word : planned.argv)
    if (word.find('\0') != std::string::npos) planned.error = "command: a word has a NUL byte";
}

PlannedContainer plan_container(const PodRequest& request, const k8s::Container& container,
                                bool init) {
  PlannedContainer planned;
  planned.name = container.name;
  planned.init = init;
  if (!container.working_dir.empty()) planned.cwd = container.working_dir;
  if (planned.cwd.front() != '/')
    planned.error = "workingDir " + planned.cwd + ": expected an absolute path";
  planned.limits = {container.resources.memory_limit, container.resources.cpu_limit_milli,
                    container.resources.pids_limit};
  planned.startup = container.startup_probe;
  planned.readiness = container.readiness_probe;
  planned.liveness = container.liveness_probe;
  for (auto* probe : {&planned.startup, &planned.readiness, &planned.liveness})
    resolve_probe(*probe, container, planned.error);
  for (const k8s::VolumeMount& mount : container.volume_mounts)
    planned.mounts.push_back({mount.name, mount.mount_path, mount.sub_path, mount.read_only});
  if (Status done = plan_security(request.pod->spec, container, planned); !done)
    planned.error = done.error().message;
  auto env = container_env(request, container);
  if (!env) {
    planned.error = env.error().message;
    return planned;
  }
  if (request.with_sallyport_binary && kLeakSanitizer && !find_env(*env, "ASAN_OPTIONS"))
    env->emplace_back("ASAN_OPTIONS", "detect_leaks=0");
  plan_command(container, *env, planned);
  for (const auto& [name, value] : *env) planned.env.push_back(join({name, value}, "="));
  return planned;
}

// Programs and libraries that lie on filesystems of their own: the overlay shows the host's root
// filesystem only.
std::vector<std::string> program_mounts() {
  std::vector<std::string> found;
  for (const char* path : {"/usr", "/usr/local", "/opt", "/srv"}) {
    struct statx st{};
    if (::statx(AT_FDCWD, path, AT_NO_AUTOMOUNT, 0, &st) == 0 &&
        (st.stx_attributes & STATX_ATTR_MOUNT_ROOT))
      found.emplace_back(path);
  }
  return found;
}

// As the kubelet cuts a pod's name to what the kernel takes.
std::string short_hostname(std::string name) {
  if (name.size() > 63) name.resize(63);
  while (!name.empty() && (name.back() == '-' || name.back() == '.')) name.pop_back();
  return name;
}

// The file behind /proc/self/exe, so that another mount namespace can find it.
std::string real_program(const std::string& self_exe) {
  char path[PATH_MAX];
  return ::realpath(self_exe.c_str(), path) ? path : self_exe;
}

}  // namespace

Status plan_security(const k8s::PodSpec& pod, const k8s::Container& container,
                     PlannedContainer& planned) {
  const k8s::SecurityContext& own = container.security;
  planned.uid = own.run_as_user.value_or(pod.security.run_as_user.value_or(0));
  planned.gid = own.run_as_group ? own.run_as_group : pod.security.run_as_group;
  planned.groups = pod.security.supplemental_groups;
  if (pod.security.fs_group) planned.groups.push_back(*pod.security.fs_group);
  for (int64_t id : {planned.uid, planned.gid.value_or(0)})
    if (id < 0 || id > kMaxId)
      return fail(Code::kInvalid, "securityContext: no such id " + std::to_string(id));
  for (int64_t id : planned.groups)
    if (id < 0 || id > kMaxId)
      return fail(Code::kInvalid, "securityContext: no such group " + std::to_string(id));
  planned.read_only_root = own.read_only_root_filesystem.value_or(false);
  planned.no_new_privs = !own.allow_privilege_escalation.value_or(true);
  if (own.run_as_non_root.value_or(pod.security.run_as_non_root.value_or(false)) &&
      planned.uid == 0)
    return fail(Code::kInvalid,
                "runAsNonRoot is set, but the container would run as user 0; set runAsUser");
  SP_TRY(planned.capabilities, container_capabilities(own.capabilities_add, own.capabilities_drop));
  return {};
}

Result<PlannedVolume> plan_volume(const PodRequest& request, const k8s::Volume& volume) {
  PlannedVolume planned;
  planned.name = volume.name;
  planned.fs_group = request.pod->spec.security.fs_group;
  if (volume.kind == k8s::Volume::Kind::kEmptyDir) {
    planned.in_memory = volume.in_memory;
    planned.size_limit = volume.size_limit;
    return planned;
  }
  bool secret = volume.kind == k8s::Volume::Kind::kSecret;
  planned.files_only = true;
  std::string what = std::string(secret ? "Secret " : "ConfigMap ") + volume.source;
  const auto& sources = secret ? request.secrets : request.config_maps;
  auto data = sources.find(volume.source);
  if (data == sources.end()) {
    if (volume.optional) return planned;
    return fail(Code::kInvalid, "volume " + volume.name + ": " + what + " does not exist");
  }
  mode_t mode = static_cast<mode_t>(volume.default_mode);
  if (volume.items.empty()) {
    for (const auto& [key, bytes] : data->second) planned.files.push_back({key, bytes, mode});
    return planned;
  }
  for (const k8s::KeyToPath& item : volume.items) {
    auto value = data->second.find(item.key);
    if (value == data->second.end()) {
      if (volume.optional) continue;
      return fail(Code::kInvalid,
                  "volume " + volume.name + ": " + what + " has no key " + item.key);
    }
    mode_t own = item.mode ? static_cast<mode_t>(*item.mode) : mode;
    planned.files.push_back({item.path, value->second, own});
  }
  return planned;
}

Result<Plan> make_plan(const PodRequest& request, const PlanOptions& options) {
  if (!request.pod) return fail(Code::kInvalid, "a pod request without a pod");
  const k8s::Pod& pod = *request.pod;
  if (!is_file_name(pod.meta.uid)) return fail(Code::kInvalid, "a pod uid has to be a file name");
  Plan plan;
  plan.uid = pod.meta.uid;
  plan.ns = pod.meta.ns;
  plan.name = pod.meta.name;
  plan.hostname = short_hostname(request.hostname.empty() ? pod.meta.name : request.hostname);
  plan.hosts_file = hosts_file(request);
  plan.resolv_conf = resolv_conf(request);
  plan.restart_policy = pod.spec.restart_policy;
  plan.grace_seconds = pod.spec.termination_grace_seconds;
  plan.backoff_ms = options.backoff_ms;
  plan.pod_ips = request.pod_ips;
  plan.expose = program_mounts();
  plan.expose.insert(plan.expose.end(), request.expose.begin(), request.expose.end());
  plan.extra.assign(request.extra_mounts.begin(), request.extra_mounts.end());
  plan.masks = masks(options.state_dir);
  if (request.with_sallyport_binary) plan.binary = real_program(options.self_exe);
  for (const auto* list : {&pod.spec.init_containers, &pod.spec.containers})
    for (const k8s::Container& container : *list)
      plan.containers.push_back(
          plan_container(request, container, list == &pod.spec.init_containers));
  std::string volume_error;
  for (const k8s::Volume& volume : pod.spec.volumes) {
    if (!is_file_name(volume.name))
      return fail(Code::kInvalid, "a volume name has to be a file name");
    auto planned = plan_volume(request, volume);
    if (planned)
      plan.volumes.push_back(std::move(*planned));
    else if (volume_error.empty())
      volume_error = planned.error().message;
  }
  // As in Kubernetes, no container of a pod starts while one of its volumes cannot be had.
  for (PlannedContainer& container : plan.containers) {
    if (!is_file_name(container.name))
      return fail(Code::kInvalid, "a container name has to be a file name");
    if (container.error.empty()) container.error = volume_error;
  }
  return plan;
}

}  // namespace sallyport::runtime
