#include "standalone/pods.h"

#include <sys/random.h>

#include <cstdio>
#include <unordered_set>

#include "base/log.h"
#include "base/strings.h"
#include "standalone/builtin.h"
#include "workload/expand.h"
#include "workload/references.h"

namespace sallyport::standalone {
namespace {

// Between two attempts to start a pod that failed or ended by itself.
constexpr auto kHoldBack = std::chrono::seconds(2);

std::map<std::string, std::string> hash_references(const workload::References& references) {
  std::map<std::string, std::string> out;
  auto add = [&](const char* kind, const auto& objects) {
    for (const auto& [name, data] : objects) {
      uint64_t hash = fnv1a(name);
      for (const auto& [key, value] : data) {
        // With the lengths, so that no two contents are read alike.
        hash = fnv1a(std::to_string(key.size()) + ":" + key, hash);
        hash = fnv1a(std::to_string(value.size()) + ":" + value, hash);
      }
      out[std::string(kind) + "/" + name] = hex(hash);
    }
  };
  add("ConfigMap", references.config_maps);
  add("Secret", references.secrets);
  return out;
}

// Whether a pod whose processes have all ended, though nobody asked for it, is to be made anew, as
// a kubelet does when a pod's sandbox is gone. A Job sees to its pods itself.
bool should_run_on(const PodRecord& record) {
  switch (record.pod->spec.restart_policy) {
    case k8s::RestartPolicy::kAlways:
      return true;
    case k8s::RestartPolicy::kOnFailure:
      return record.state.phase == "Failed" &&
             !workload::controller_of(*record.pod).starts_with("Job/");
    case k8s::RestartPolicy::kNever:
      return false;
  }
  return false;
}

std::shared_ptr<const k8s::Pod> with_uid(const k8s::Pod& pod, const std::string& uid) {
  auto copy = std::make_shared<k8s::Pod>(pod);
  copy->meta.uid = uid;
  return copy;
}

}  // namespace

std::string new_uid() {
  uint8_t b[16];
  // getrandom() of 16 bytes never fails or falls short once the pool is up.
  while (::getrandom(b, sizeof b, 0) != sizeof b) {
  }
  b[6] = static_cast<uint8_t>((b[6] & 0x0f) | 0x40);
  b[8] = static_cast<uint8_t>((b[8] & 0x3f) | 0x80);
  char text[37];
  std::snprintf(text, sizeof text,
                "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
                b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
                b[15]);
  return text;
}

const PodRecord* Pods::find(const std::string& key) const {
  auto found = records_.find(key);
  return found == records_.end() ? nullptr : &found->second;
}

void Pods::recover(const RunState& state,
                   const std::vector<std::shared_ptr<const k8s::Pod>>& desired) {
  next_endpoint_id_ = std::max(next_endpoint_id_, state.next_endpoint_id);
  std::map<std::string, runtime::Sandbox> alive;
  for (runtime::Sandbox& sandbox : runtime_.recover()) {
    std::string uid = sandbox.uid;
    alive.emplace(uid, std::move(sandbox));
  }
  std::map<std::string, std::shared_ptr<const k8s::Pod>> wanted;
  for (const auto& pod : desired) wanted[pod->meta.ns + "/" + pod->meta.name] = pod;

  for (const PodRecordState& saved : state.pods) {
    PodRecord record;
    record.spec_hash = saved.spec_hash;
    record.endpoint_id = saved.endpoint_id;
    record.addresses = {saved.v4, saved.v6};
    record.link = {saved.ifindex, saved.link};
    record.references = saved.references;
    record.created = clock_.wall();
    auto pod = wanted.find(saved.ns + "/" + saved.name);
    bool lives = false;
    if (auto found = alive.extract(saved.uid); !found.empty()) {
      lives = true;
      record.netns = std::make_shared<const Fd>(std::move(found.mapped().netns));
    }
    if (auto claimed = network_.claim(record.addresses); !claimed)
      log_warn("node", "pod " + saved.ns + "/" + saved.name + ": " + claimed.error().message);
    if (pod != wanted.end()) {
      record.pod = with_uid(*pod->second, saved.uid);
    } else {
      // No longer in the manifests: a shell of a pod, enough to stop it by.
      auto shell = std::make_shared<k8s::Pod>();
      shell->kind = "Pod";
      shell->api_version = "v1";
      shell->meta.ns = saved.ns;
      shell->meta.name = saved.name;
      shell->meta.uid = saved.uid;
      record.pod = shell;
    }
    if (!lives) {
      log_warn("node", "pod " + record.key() + " ended while no node process was there");
      finish_removal(record);
      continue;
    }
    // One that was perhaps not started yet waits for the gate like a new one; both steps can be
    // repeated.
    record.stage = saved.prepared ? PodRecord::Stage::kPrepared : PodRecord::Stage::kStarted;
    if (auto now = runtime_.state(saved.uid)) record.state = *now;
    runtime_.set_pod_ips(saved.uid, {saved.v4, saved.v6});
    if (saved.stopping) begin_stop(record);
    records_.emplace(record.key(), std::move(record));
  }
  // Sandboxes that the state file does not know: the node was killed before it could write them.
  for (const auto& [uid, sandbox] : alive)
    if (auto removed = runtime_.remove(uid); !removed) log_warn("node", removed.error().message);
}

Result<runtime::PodRequest> Pods::request_for(std::shared_ptr<const k8s::Pod> pod,
                                              const std::vector<k8s::AnyObject>& objects,
                                              std::map<std::string, std::string>& seen) const {
  auto references = workload::resolve_refs(*pod, objects);
  if (!references) return fail(Code::kInvalid, references.error().front().to_string());
  seen = hash_references(*references);
  runtime::PodRequest request;
  request.hostname = pod->spec.hostname.empty() ? pod->meta.name : pod->spec.hostname;
  request.dns_servers = options_.dns_servers;
  request.dns_searches = {pod->meta.ns + ".svc." + kClusterDomain,
                          std::string("svc.") + kClusterDomain, kClusterDomain};
  request.config_maps = std::move(references->config_maps);
  request.secrets = std::move(references->secrets);
  request.node_ip = network_.ranges().node4;
  request.node_name = options_.node_name;
  request.expose = options_.expose;
  request.extra_mounts = options_.mounts;
  if (is_builtin_dns(*pod)) {
    request.with_sallyport_binary = true;
    request.extra_mounts[options_.dns_records_dir] = kDnsRecordsMount;
  }
  request.pod = std::move(pod);
  return request;
}

Result<PodRecord> Pods::prepare(const k8s::Pod& pod, const std::vector<k8s::AnyObject>& objects) {
  PodRecord record;
  record.pod = with_uid(pod, new_uid());
  record.spec_hash = workload::spec_hash(pod);
  record.created = clock_.wall();
  SP_TRY(runtime::PodRequest request, request_for(record.pod, objects, record.references));
  SP_TRY(record.addresses, network_.allocate(clock_));
  request.pod_ips = {record.addresses.v4, record.addresses.v6};
  record.endpoint_id = next_endpoint_id_++;
  const std::string& uid = record.pod->meta.uid;

  auto wire = [&]() -> Status {
    SP_TRY(runtime::Sandbox sandbox, runtime_.create(request));
    char name[16];
    std::snprintf(name, sizeof name, "sp%x", record.endpoint_id);
    SP_TRY(record.link, network_.prepare(sandbox.netns.get(), name, record.addresses));
    record.netns = std::make_shared<const Fd>(std::move(sandbox.netns));
    runtime_.set_pod_ips(uid, request.pod_ips);
    return {};
  };
  if (auto wired = wire(); !wired) {
    (void)runtime_.remove(uid);
    network_.release(record.addresses, clock_);
    return std::unexpected(wired.error());
  }
  record.state.uid = uid;
  record.state.phase = "Pending";
  return record;
}

Pods::Changes Pods::reconcile(const std::vector<std::shared_ptr<const k8s::Pod>>& desired,
                              const std::vector<k8s::AnyObject>& objects) {
  Changes changes;
  std::unordered_set<std::string> wanted;
  for (const auto& pod : desired) {
    std::string key = pod->meta.ns + "/" + pod->meta.name;
    wanted.insert(key);
    auto found = records_.find(key);
    if (found != records_.end()) {
      PodRecord& record = found->second;
      if (record.stage == PodRecord::Stage::kStopping) continue;  // its successor comes after it
      if (record.spec_hash != workload::spec_hash(*pod)) {
        begin_stop(record);
        changes.any = true;
      } else if (record.pod->raw != pod->raw) {
        record.pod = with_uid(*pod, record.pod->meta.uid);
        changes.any = true;
      }
      continue;
    }
    if (auto held = held_back_.find(key); held != held_back_.end()) {
      if (clock_.now() < held->second) {
        changes.failures.push_back(key + ": ended or failed to start, is started again shortly");
        continue;
      }
      held_back_.erase(held);
    }
    auto record = prepare(*pod, objects);
    if (!record) {
      changes.failures.push_back(key + ": " + record.error().message);
      continue;
    }
    records_.emplace(key, std::move(*record));
    changes.any = true;
  }
  std::erase_if(held_back_, [&](const auto& held) { return !wanted.contains(held.first); });
  for (auto& [key, record] : records_) {
    if (record.stage == PodRecord::Stage::kStopping || wanted.contains(key)) continue;
    begin_stop(record);
    changes.any = true;
  }
  return changes;
}

std::vector<std::string> Pods::start_prepared(const std::set<std::string>& held_back) {
  std::vector<std::string> failures;
  for (auto& [key, record] : records_) {
    if (record.stage != PodRecord::Stage::kPrepared || held_back.contains(key)) continue;
    auto start = [&]() -> Status {
      SP_CHECK_OK(network_.connect(record.link, record.addresses));
      return runtime_.start(record.pod->meta.uid);
    };
    record.stage = PodRecord::Stage::kStarted;
    if (auto started = start(); !started) {
      failures.push_back(key + ": " + started.error().message);
      begin_stop(record);
      hold_back(key);
    }
  }
  return failures;
}

std::vector<Pods::Stale> Pods::stale(const std::vector<k8s::AnyObject>& objects) const {
  std::vector<Stale> out;
  for (const auto& [key, record] : records_) {
    if (record.references.empty() || record.stage == PodRecord::Stage::kStopping ||
        record.terminated())
      continue;
    auto references = workload::resolve_refs(*record.pod, objects);
    if (!references) continue;
    auto now = hash_references(*references);
    std::vector<std::string> changed;
    for (const auto& [name, hash] : record.references)
      if (auto found = now.find(name); found == now.end() || found->second != hash)
        changed.push_back(name);
    for (const auto& [name, hash] : now)
      if (!record.references.contains(name)) changed.push_back(name);
    if (!changed.empty()) out.push_back({key, record.pod->meta.uid, join(changed, ", ")});
  }
  return out;
}

std::string Pods::Stale::text() const {
  return "pod " + key + " still has the content that " + objects +
         " had when it started: a running pod does not see changes of ConfigMaps and Secrets, only "
         "one that is started anew does";
}

void Pods::hold_back(const std::string& key) {
  held_back_[key] = clock_.now() + kHoldBack;
}

void Pods::begin_stop(PodRecord& record) {
  int grace = record.pod->spec.termination_grace_seconds;
  bool began = record.stage != PodRecord::Stage::kPrepared;
  record.stage = PodRecord::Stage::kStopping;
  record.stop_deadline = clock_.now() + std::chrono::seconds(grace + 5);
  // Where no container was ever started there is nothing to wait for.
  if (!began || !runtime_.stop(record.pod->meta.uid, grace)) record.stop_deadline = clock_.now();
}

void Pods::finish_removal(const PodRecord& record) {
  const std::string& uid = record.pod->meta.uid;
  if (auto off = network_.disconnect(record.link); !off && off.error().code != Code::kNotFound)
    log_warn("node", "pod " + record.key() + ": " + off.error().message);
  if (auto removed = runtime_.remove(uid); !removed)
    log_warn("node", "pod " + record.key() + ": " + removed.error().message);
  network_.release(record.addresses, clock_);
  if (on_removed) on_removed(record.endpoint_id);
}

bool Pods::poll() {
  bool changed = false;
  std::map<std::string, runtime::PodState> news;
  runtime_.poll([&](const runtime::PodState& state) { news[state.uid] = state; });
  for (auto it = records_.begin(); it != records_.end();) {
    PodRecord& record = it->second;
    if (auto state = news.find(record.pod->meta.uid); state != news.end()) {
      changed = true;
      record.state = state->second;
    }
    if (record.stage == PodRecord::Stage::kStarted && record.terminated() &&
        should_run_on(record)) {
      log_warn("node", "pod " + record.key() + " has ended by itself; a new one takes its place");
      begin_stop(record);
      hold_back(record.key());
    }
    bool over = record.stage == PodRecord::Stage::kStopping &&
                (record.terminated() || clock_.now() >= record.stop_deadline);
    if (!over) {
      ++it;
      continue;
    }
    finish_removal(record);
    it = records_.erase(it);
    changed = true;
  }
  return changed;
}

bool Pods::stop_all(bool now) {
  for (auto& [key, record] : records_) {
    if (record.stage != PodRecord::Stage::kStopping) begin_stop(record);
    if (now) record.stop_deadline = clock_.now();
  }
  poll();
  return records_.empty();
}

void Pods::fill(RunState& state) const {
  state.next_endpoint_id = next_endpoint_id_;
  state.pods.clear();
  for (const auto& [key, record] : records_) {
    PodRecordState saved;
    saved.ns = record.pod->meta.ns;
    saved.name = record.pod->meta.name;
    saved.uid = record.pod->meta.uid;
    saved.spec_hash = record.spec_hash;
    saved.endpoint_id = record.endpoint_id;
    saved.v4 = record.addresses.v4;
    saved.v6 = record.addresses.v6;
    saved.link = record.link.name;
    saved.ifindex = record.link.ifindex;
    saved.references = record.references;
    saved.prepared = record.stage == PodRecord::Stage::kPrepared;
    saved.stopping = record.stage == PodRecord::Stage::kStopping;
    state.pods.push_back(std::move(saved));
  }
}

}  // namespace sallyport::standalone
