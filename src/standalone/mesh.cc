#include "standalone/mesh.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <thread>

#include "base/fs.h"
#include "base/log.h"
#include "mesh/config.h"
#include "standalone/teardown.h"

namespace sallyport::standalone {
namespace {

constexpr auto kReadyWait = std::chrono::seconds(5);
constexpr off_t kMostLogBytes = 64 << 20;

// Listeners, namespaces, channels: some descriptors for every pod.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

MeshControl::MeshControl(MeshOptions options, const RunPaths& paths, const node::Ranges& ranges,
                         const Clock& clock)
    : options_(options),
      key_dir_(paths.lasting),
      log_path_(paths.run + "/access.log"),
      socket_dir_(paths.run + "/proxies"),
      ranges_(ranges),
      clock_(clock) {}

MeshControl::~MeshControl() = default;

void MeshControl::recover(const RunState& state) {
  std::map<std::string, capture::Marks> marks;
  for (const PodRecordState& pod : state.pods) {
    if (!pod.captured) continue;
    suspects_.insert(pod.uid);
    if (pod.outbound_mark != 0) marks[pod.uid] = {pod.outbound_mark, pod.app_mark};
  }
  if (state.proxies.empty()) return;
  ProxyLink::Adopted adopted;
  if (auto started = start_fleet(); started) {
    std::vector<ProxyFleet::Survivor> survivors;
    for (const ProxyState& proxy : state.proxies) survivors.push_back({proxy.group, proxy.process});
    adopted = fleet_->adopt(survivors);
    // Without its marks a pod's sockets cannot be made: all begin anew.
    if (!std::ranges::all_of(adopted.pods,
                             [&](const auto& p) { return marks.contains(p.first); })) {
      fleet_.reset();
      adopted = {};
    }
  }
  if (!fleet_ || adopted.pods.empty())
    for (const ProxyState& proxy : state.proxies)
      end_process(proxy.process.pid, proxy.process.start_time);
  for (const auto& [uid, listeners] : adopted.pods) {
    Captured& pod = pods_[uid];
    pod.listeners = listeners;
    pod.rules.marks = marks[uid];
  }
  generation_ = adopted.generation;
}

void MeshControl::fill(RunState& state) const {
  for (PodRecordState& pod : state.pods) {
    auto captured = pods_.find(pod.uid);
    if (captured == pods_.end()) continue;
    pod.outbound_mark = captured->second.rules.marks.outbound;
    pod.app_mark = captured->second.rules.marks.to_app;
  }
}

std::set<std::string> MeshControl::captured(const world::World& world) const {
  std::set<std::string> out = suspects_;
  for (const auto& [uid, pod] : pods_) out.insert(uid);
  for (const Member& member : mesh_members(world, options_.isolation)) out.insert(member.uid);
  return out;
}

// Another trust domain is another authority, with files of its own.
Status MeshControl::open_authority(const world::World& world) {
  const std::string& domain = world.mesh.trust_domain;
  if (authority_ && authority_->trust_domain() == domain) return {};
  std::string base =
      key_dir_ + (domain == k8s::MeshSettings().trust_domain ? "/ca" : "/ca-" + domain);
  identity::Authority::Options options;
  options.key_file = base + ".key";
  options.certificate_file = base + ".crt";
  options.trust_domain = domain;
  SP_TRY(std::unique_ptr<identity::Authority> opened, identity::Authority::open(options, clock_));
  authority_ = std::move(opened);
  return {};
}

Status MeshControl::start_fleet() {
  if (fleet_) return {};
  raise_descriptor_limit();
  ProxyFleet::Options options;
  options.svid_ttl = options_.svid_ttl;
  options.proxy.workers = options_.workers > 0
                              ? options_.workers
                              : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  if (options_.proxy_memory > 0)
    options.proxy.arguments = {"--memory-budget", std::to_string(options_.proxy_memory)};
  SP_CHECK_OK(make_dirs(socket_dir_));
  options.proxy.socket_dir = socket_dir_;
  SP_TRY(fleet_, ProxyFleet::start(std::move(options), clock_));
  return {};
}

capture::Rules MeshControl::rules_for(const Member& member) const {
  capture::Rules rules;
  rules.probe_sources = {ranges_.probe4, ranges_.probe6};
  rules.exclude_inbound_ports = member.membership.exclude_inbound_ports;
  rules.exclude_outbound_ports = member.membership.exclude_outbound_ports;
  rules.exclude_outbound_ranges = member.membership.exclude_outbound_ranges;
  return rules;
}

// Listeners first: a pod that has the rules and cannot be served is cut off.
void MeshControl::capture_pod(const Member& member, const PodRecord& record, Captured& pod) {
  auto make = [&]() -> Status {
    if (!record.netns || !*record.netns)
      return fail(Code::kInternal, "its network namespace is not known");
    pod.netns = record.netns;
    capture::Rules rules = rules_for(member);
    if (!pod.listeners) {
      SP_TRY(rules.marks, capture::draw_marks());
      SP_TRY(capture::Listeners listeners, capture::make_listeners(pod.netns->get()));
      SP_CHECK_OK(capture::apply(pod.netns->get(), rules));
      pod.listeners = std::make_shared<const capture::Listeners>(std::move(listeners));
      pod.rules = std::move(rules);
      return {};
    }
    rules.marks = pod.rules.marks;
    if (rules == pod.rules) return {};
    SP_CHECK_OK(capture::apply(pod.netns->get(), rules));
    pod.rules = std::move(rules);
    return {};
  };
  Status made = make();
  if (made) {
    pod.problem.clear();
    return;
  }
  pod.problem = made.error().message;
  if (pod.listeners || !pod.netns) return;  // the rules before are in force
  if (auto denied = capture::deny(pod.netns->get(), {ranges_.probe4, ranges_.probe6}); !denied)
    pod.problem += "; and it could not be cut off: " + denied.error().message;
  else
    pod.problem += "; it is cut off";
}

Status MeshControl::fill_group(const std::string& name, const std::vector<const Member*>& members,
                               const world::World& world) {
  mesh::ProxyConfig config;
  config.world = world;
  config.world.revision = 0;  // other revisions say the same
  config.pod_ranges = {ranges_.pods4, ranges_.pods6};
  config.service_ranges = {ranges_.services4, ranges_.services6};
  config.check_network_policy = options_.check_network_policy;
  Group& group = groups_[name];
  group.fleet.pods.clear();
  for (const Member* member : members) {
    const Captured& pod = pods_.at(member->uid);
    config.local_pods.push_back(member->uid);
    group.fleet.pods[member->uid] = {member->identity.to_string(), pod.netns, pod.listeners,
                                     pod.rules.marks};
  }
  std::string text = mesh::encode(config);
  if (group.fleet.config && text == group.text) return {};
  config.generation = generation_;
  SP_TRY(Fd content, mesh::to_memfd(mesh::encode(config), "sallyport-config"));
  group.text = std::move(text);
  group.fleet.config = std::make_shared<const Fd>(std::move(content));
  group.fleet.generation = generation_;
  return {};
}

// Whatever path the settings name, the lines go to a file of the run: manifests do not choose where
// on the host root writes.
Status MeshControl::open_log(const k8s::MeshSettings& settings) {
  if (settings.access_log_file.empty()) {
    state_.access_log.reset();
    return {};
  }
  if (state_.access_log) return {};
  Fd fd(::open(log_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail_errno("open " + log_path_);
  state_.access_log = std::make_shared<const Fd>(std::move(fd));
  return {};
}

void MeshControl::tick() {
  if (!state_.access_log || !fleet_) return;
  struct stat st{};
  if (::fstat(state_.access_log->get(), &st) != 0 || st.st_size < kMostLogBytes) return;
  if (::rename(log_path_.c_str(), (log_path_ + ".1").c_str()) != 0) return;
  Fd fd(::open(log_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return;
  state_.access_log = std::make_shared<const Fd>(std::move(fd));
  fleet_->set(state_);
}

// Pods that left the mesh, and what pods of an earlier node process may still have.
void MeshControl::release_others(const std::map<std::string, const Member*>& members,
                                 const Pods& pods, std::vector<std::string>& problems) {
  std::map<std::string, const PodRecord*> living;
  for (const auto& [key, record] : pods.records()) living[record.pod->meta.uid] = &record;
  std::set<std::string> leaving = suspects_;
  for (const auto& [uid, pod] : pods_) leaving.insert(uid);
  for (const std::string& uid : leaving) {
    if (members.contains(uid)) continue;
    auto record = living.find(uid);
    if (record != living.end() && record->second->netns) {
      if (auto removed = capture::remove(record->second->netns->get()); !removed) {
        problems.push_back(
            "pod " + record->second->key() +
            " left the mesh, but its interception stays: " + removed.error().message);
        continue;
      }
    }
    pods_.erase(uid);
    suspects_.erase(uid);
  }
}

MeshControl::Applied MeshControl::apply(const world::World& world, const Pods& pods) {
  Applied out;
  std::vector<Member> members = mesh_members(world, options_.isolation);
  if (members.empty() && pods_.empty() && suspects_.empty() && !fleet_) return out;

  std::map<std::string, const Member*> by_uid;
  for (const Member& member : members) by_uid[member.uid] = &member;
  auto all_wait = [&](const Error& error) {
    out.problems.push_back("the mesh is not up: " + error.message);
    for (const Member& member : members) out.held_back.insert(member.key);
    return out;
  };
  if (!members.empty()) {
    if (auto opened = open_authority(world); !opened) return all_wait(opened.error());
    if (auto started = start_fleet(); !started) return all_wait(started.error());
  }

  bool fresh = false;
  std::map<std::string, std::vector<const Member*>> groups;
  std::set<identity::SpiffeId> identities;
  for (const Member& member : members) {
    const PodRecord* record = pods.find(member.key);
    if (!record || record->pod->meta.uid != member.uid) continue;
    Captured& pod = pods_[member.uid];
    pod.key = member.key;
    fresh = fresh || record->stage == PodRecord::Stage::kPrepared;
    capture_pod(member, *record, pod);
    suspects_.erase(member.uid);
    if (!pod.problem.empty()) out.problems.push_back("pod " + member.key + ": " + pod.problem);
    if (!pod.listeners) {
      out.held_back.insert(member.key);
      continue;
    }
    groups[member.group].push_back(&member);
    identities.insert(member.identity);
  }

  generation_ = std::max(generation_ + 1, world.revision);
  std::erase_if(groups_, [&](const auto& group) { return !groups.contains(group.first); });
  if (auto opened = open_log(world.mesh); !opened)
    out.problems.push_back("no access log: " + opened.error().message);
  state_.groups.clear();
  for (const auto& [name, its] : groups) {
    if (auto filled = fill_group(name, its, world); !filled) {
      out.problems.push_back("proxy " + name + ": " + filled.error().message);
      for (const Member* member : its) out.held_back.insert(member->key);
    }
    if (groups_[name].fleet.config) state_.groups[name] = groups_[name].fleet;
  }
  state_.identities = std::move(identities);
  state_.authority = authority_;
  if (fleet_) fleet_->set(state_);

  bool leaving =
      std::ranges::any_of(pods_, [&](const auto& pod) { return !by_uid.contains(pod.first); });
  if (fleet_ && (fresh || leaving)) {
    // New pods start under a proxy that knows them; a pod's rules go when nobody dials it by
    // mutual TLS any more.
    for (const auto& [group, why] : fleet_->wait_ready(kReadyWait)) {
      std::string problem = "proxy ";
      out.problems.push_back(problem.append(group).append(": ").append(why));
      for (const Member& member : members)
        if (member.group == group || group == "all") out.held_back.insert(member.key);
    }
  }
  release_others(by_uid, pods, out.problems);
  return out;
}

std::vector<std::string> MeshControl::problems() {
  std::vector<std::string> out;
  if (!fleet_) return out;
  for (const ProxyView& proxy : fleet_->proxies())
    if (!proxy.problem.empty()) out.push_back("proxy " + proxy.group + ": " + proxy.problem);
  for (const CertificateView& certificate : fleet_->certificates())
    if (!certificate.problem.empty())
      out.push_back("certificate of " + certificate.id + ": " + certificate.problem);
  return out;
}

std::vector<ProxyState> MeshControl::processes() {
  std::vector<ProxyState> out;
  if (!fleet_) return out;
  for (const ProxyView& proxy : fleet_->proxies())
    if (proxy.pid > 0) out.push_back({proxy.group, {proxy.pid, proxy.start_time}});
  return out;
}

size_t MeshControl::drain_flows(const std::function<void(const telemetry::FlowRecord&)>& sink) {
  // A bound, so that a flood of records does not keep the loop from changes of policy.
  constexpr size_t kMost = 8192;
  return fleet_ ? fleet_->drain_flows(kMost, sink) : 0;
}

}  // namespace sallyport::standalone
