#include "standalone/pods.h"

#include <sys/random.h>

#include <cstdio>
#include <unordered_set>

#include "base/log.h"
#include "standalone/builtin.h"
#include "workload/expand.h"
#include "workload/references.h"

namespace sallyport::standalone {
namespace {

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
    record.created = clock_.wall();
    auto pod = wanted.find(saved.ns + "/" + saved.name);
    bool lives = alive.erase(saved.uid) > 0;
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
    record.stage = saved.stopping ? PodRecord::Stage::kStopping : PodRecord::Stage::kStarted;
    if (auto now = runtime_.state(saved.uid)) record.state = *now;
    runtime_.set_pod_ips(saved.uid, {saved.v4, saved.v6});
    // A node that was killed between prepare() and start() left them undone; both are idempotent.
    if (auto up = network_.connect(record.link, record.addresses); !up)
      log_warn("node", "pod " + record.key() + ": " + up.error().message);
    if (!saved.stopping)
      if (auto started = runtime_.start(saved.uid); !started)
        log_warn("node", "pod " + record.key() + ": " + started.error().message);
    if (saved.stopping) begin_stop(record);
    records_.emplace(record.key(), std::move(record));
  }
  // Sandboxes that the state file does not know: the node was killed before it could write them.
  for (const auto& [uid, sandbox] : alive)
    if (auto removed = runtime_.remove(uid); !removed) log_warn("node", removed.error().message);
}

Result<runtime::PodRequest> Pods::request_for(std::shared_ptr<const k8s::Pod> pod,
                                              const std::vector<k8s::AnyObject>& objects) const {
  auto references = workload::resolve_refs(*pod, objects);
  if (!references) return fail(Code::kInvalid, references.error().front().to_string());
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
  SP_TRY(runtime::PodRequest request, request_for(record.pod, objects));
  SP_TRY(record.addresses, network_.allocate(clock_));
  request.pod_ips = {record.addresses.v4, record.addresses.v6};
  record.endpoint_id = next_endpoint_id_++;
  const std::string& uid = record.pod->meta.uid;

  auto wire = [&]() -> Status {
    SP_TRY(runtime::Sandbox sandbox, runtime_.create(request));
    char name[16];
    std::snprintf(name, sizeof name, "sp%x", record.endpoint_id);
    SP_TRY(record.link, network_.prepare(sandbox.netns.get(), name, record.addresses));
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
    auto record = prepare(*pod, objects);
    if (!record) {
      changes.failures.push_back(key + ": " + record.error().message);
      continue;
    }
    records_.emplace(key, std::move(*record));
    changes.any = true;
  }
  for (auto& [key, record] : records_) {
    if (record.stage == PodRecord::Stage::kStopping || wanted.contains(key)) continue;
    begin_stop(record);
    changes.any = true;
  }
  return changes;
}

std::vector<std::string> Pods::start_prepared() {
  std::vector<std::string> failures;
  for (auto& [key, record] : records_) {
    if (record.stage != PodRecord::Stage::kPrepared) continue;
    auto start = [&]() -> Status {
      SP_CHECK_OK(network_.connect(record.link, record.addresses));
      return runtime_.start(record.pod->meta.uid);
    };
    record.stage = PodRecord::Stage::kStarted;
    if (auto started = start(); !started) {
      failures.push_back(key + ": " + started.error().message);
      begin_stop(record);
    }
  }
  return failures;
}

void Pods::begin_stop(PodRecord& record) {
  int grace = record.pod->spec.termination_grace_seconds;
  record.stage = PodRecord::Stage::kStopping;
  record.stop_deadline = clock_.now() + std::chrono::seconds(grace + 5);
  if (auto stopped = runtime_.stop(record.pod->meta.uid, grace); !stopped)
    record.stop_deadline = clock_.now();
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
    saved.stopping = record.stage == PodRecord::Stage::kStopping;
    state.pods.push_back(std::move(saved));
  }
}

}  // namespace sallyport::standalone
