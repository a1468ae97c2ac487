#include "workload/expand.h"

#include <algorithm>
#include <tuple>

#include "base/strings.h"
#include "workload/hash.h"

namespace sallyport::workload {
namespace {

using codec::Value;

// apimachinery's generated names: the base is cut so that base and suffix fit 63 characters.
constexpr size_t kGeneratedBase = 58;
constexpr size_t kLabelValue = 63;
// A typing error in `replicas` must not fill the memory.
constexpr int64_t kMaxPods = 50'000;

struct PodIdentity {
  std::string name;
  k8s::Labels labels;     // added to the template's
  std::string hostname;   // StatefulSet
  std::string subdomain;  // StatefulSet
};

Value string_map(const std::map<std::string, std::string>& entries) {
  Value map = Value::map();
  for (const auto& [key, value] : entries) map.set(key, value);
  return map;
}

// The owner as the API server writes it. Its uid is derived from its name, as there is no API
// server that would have given it one.
Value owner_reference(const k8s::Object& owner) {
  const std::string name = owner.kind + "/" + owner.meta.ns + "/" + owner.meta.name;
  const std::string high = hex(fnv1a(name));
  const std::string low = hex(fnv1a(name, fnv1a("owner")));
  Value reference = Value::map();
  reference.set("apiVersion", owner.api_version);
  reference.set("kind", owner.kind);
  reference.set("name", owner.meta.name);
  reference.set("uid", owner.meta.uid.empty()
                           ? high.substr(0, 8) + "-" + high.substr(8, 4) + "-8" + high.substr(13) +
                                 "-8" + low.substr(1, 3) + "-" + low.substr(4)
                           : owner.meta.uid);
  reference.set("controller", Value::boolean(true));
  reference.set("blockOwnerDeletion", Value::boolean(true));
  return reference;
}

Value pod_manifest(const k8s::Object& owner, const k8s::Pod& pod, const k8s::PodTemplate& from) {
  Value metadata = Value::map();
  metadata.set("name", pod.meta.name);
  metadata.set("namespace", pod.meta.ns);
  if (!pod.meta.labels.empty()) metadata.set("labels", string_map(pod.meta.labels));
  if (!pod.meta.annotations.empty()) metadata.set("annotations", string_map(pod.meta.annotations));
  metadata.set("ownerReferences", Value::list()).push(owner_reference(owner));

  Value spec = from.raw ? (*from.raw)["spec"] : Value::map();
  if (!spec.is_map()) spec = Value::map();
  // A StatefulSet's controller overwrites both, whatever the template says.
  if (owner.kind == "StatefulSet") {
    spec.set("hostname", pod.spec.hostname);
    if (!pod.spec.subdomain.empty()) spec.set("subdomain", pod.spec.subdomain);
  }

  Value manifest = Value::map();
  manifest.set("apiVersion", "v1");
  manifest.set("kind", "Pod");
  manifest.set("metadata", std::move(metadata));
  manifest.set("spec", std::move(spec));
  manifest.mark = owner.origin.mark;
  return manifest;
}

PodPtr make_pod(const k8s::Object& owner, const k8s::PodTemplate& from, PodIdentity identity) {
  auto pod = std::make_shared<k8s::Pod>();
  pod->api_version = "v1";
  pod->kind = "Pod";
  pod->origin = owner.origin;
  pod->meta.name = std::move(identity.name);
  pod->meta.ns = owner.meta.ns;
  pod->meta.labels = from.labels;
  pod->meta.annotations = from.annotations;
  for (auto& [key, value] : identity.labels) pod->meta.labels[key] = value;
  pod->spec = from.spec;
  if (!identity.hostname.empty()) {
    pod->spec.hostname = identity.hostname;
    if (!identity.subdomain.empty()) pod->spec.subdomain = identity.subdomain;
  }
  pod->raw = std::make_shared<const Value>(pod_manifest(owner, *pod, from));
  return pod;
}

uint64_t template_hash(const k8s::PodTemplate& from) {
  static const Value kNone;
  return hash_value(from.raw ? (*from.raw)["spec"] : kNone);
}

// Label values end at 63 characters; longer names are left out of labels, as no selector could
// name them.
void add_label(k8s::Labels& labels, const std::string& key, const std::string& value) {
  if (value.size() <= kLabelValue) labels[key] = value;
}

void expand_deployment(const k8s::Deployment& deployment, std::vector<PodPtr>& pods) {
  const std::string hash = safe_text(template_hash(deployment.pod), 10);
  const std::string set = deployment.meta.name + "-" + hash;
  const uint64_t seed = fnv1a(deployment.meta.ns + "/" + set);
  for (int i = 0; i < deployment.replicas; ++i) {
    PodIdentity identity;
    identity.name =
        (set + "-").substr(0, kGeneratedBase) + replica_suffix(seed, static_cast<uint32_t>(i));
    identity.labels["pod-template-hash"] = hash;
    pods.push_back(make_pod(deployment, deployment.pod, std::move(identity)));
  }
}

void expand_stateful_set(const k8s::StatefulSet& set, std::vector<PodPtr>& pods) {
  for (int i = 0; i < set.replicas; ++i) {
    PodIdentity identity;
    identity.name = set.meta.name + "-" + std::to_string(i);
    identity.hostname = identity.name;
    identity.subdomain = set.service_name;
    add_label(identity.labels, "statefulset.kubernetes.io/pod-name", identity.name);
    identity.labels["apps.kubernetes.io/pod-index"] = std::to_string(i);
    pods.push_back(make_pod(set, set.pod, std::move(identity)));
  }
}

class JobExpansion {
 public:
  JobExpansion(const k8s::Job& job, const Phases* phases, std::vector<PodPtr>& pods)
      : job_(job), phases_(phases), pods_(pods) {}

  void run() {
    if (phases_ == nullptr) {
      for (int i = 0; i < job_.completions; ++i) add(i, 0);
      return;
    }
    // All pods that exist stay, also finished ones, as their logs and states can be asked for.
    std::vector<std::pair<int, int>> wanted;  // index and attempt, not begun
    int running = 0;
    int failures = 0;
    for (int i = 0; i < job_.completions; ++i) {
      int attempt = 0;
      while (phase(i, attempt) == "Failed" && attempt <= job_.backoff_limit) {
        add(i, attempt++);
        ++failures;
      }
      if (attempt > job_.backoff_limit) continue;
      const std::string now = phase(i, attempt);
      if (now.empty()) {
        wanted.emplace_back(i, attempt);
      } else {
        add(i, attempt);
        if (now != "Succeeded") ++running;
      }
    }
    if (failures > job_.backoff_limit) return;  // the Job has failed: nothing new is begun
    for (const auto& [index, attempt] : wanted) {
      if (running >= job_.parallelism) break;
      add(index, attempt);
      ++running;
    }
  }

 private:
  [[nodiscard]] std::string name(int index, int attempt) const {
    std::string text = job_.meta.name + "-" + std::to_string(index);
    return attempt == 0 ? text : text + "-r" + std::to_string(attempt);
  }

  [[nodiscard]] std::string phase(int index, int attempt) const {
    auto found = phases_->find(job_.meta.ns + "/" + name(index, attempt));
    if (found == phases_->end()) return "";
    return found->second.empty() ? "Pending" : found->second;
  }

  void add(int index, int attempt) {
    PodIdentity identity;
    identity.name = name(index, attempt);
    add_label(identity.labels, "batch.kubernetes.io/job-name", job_.meta.name);
    add_label(identity.labels, "job-name", job_.meta.name);
    pods_.push_back(make_pod(job_, job_.pod, std::move(identity)));
  }

  const k8s::Job& job_;
  const Phases* phases_;
  std::vector<PodPtr>& pods_;
};

std::string where(const k8s::Pod& pod) {
  const std::string owner = controller_of(pod);
  return pod.origin.file + ":" + std::to_string(pod.origin.mark.line) + ":" +
         std::to_string(pod.origin.mark.column) + " (" + (owner.empty() ? "Pod" : owner) + ")";
}

// How many pods the object asks for.
int64_t pods_of(const k8s::AnyObject& object) {
  if (std::holds_alternative<k8s::Pod>(object)) return 1;
  if (const auto* deployment = std::get_if<k8s::Deployment>(&object)) return deployment->replicas;
  if (const auto* set = std::get_if<k8s::StatefulSet>(&object)) return set->replicas;
  if (const auto* job = std::get_if<k8s::Job>(&object)) return job->completions;
  return 0;
}

Status check_number(const std::vector<k8s::AnyObject>& objects) {
  int64_t sum = 0;
  for (const k8s::AnyObject& object : objects) {
    sum += std::max<int64_t>(pods_of(object), 0);
    if (sum <= kMaxPods) continue;
    const k8s::Object& base = k8s::base_of(object);
    return fail(Code::kExhausted, base.origin.file + ":" + std::to_string(base.origin.mark.line) +
                                      ":" + std::to_string(base.origin.mark.column) + ": " +
                                      base.kind + "/" + base.meta.ns + "/" + base.meta.name +
                                      " brings the number of pods to " + std::to_string(sum) +
                                      "; expected at most " + std::to_string(kMaxPods) +
                                      " on one node");
  }
  return {};
}

}  // namespace

Result<std::vector<PodPtr>> expand(const std::vector<k8s::AnyObject>& objects,
                                   const Phases* phases) {
  SP_CHECK_OK(check_number(objects));
  std::vector<PodPtr> pods;
  for (const k8s::AnyObject& object : objects) {
    if (const auto* pod = std::get_if<k8s::Pod>(&object)) {
      pods.push_back(std::make_shared<const k8s::Pod>(*pod));
    } else if (const auto* deployment = std::get_if<k8s::Deployment>(&object)) {
      expand_deployment(*deployment, pods);
    } else if (const auto* set = std::get_if<k8s::StatefulSet>(&object)) {
      expand_stateful_set(*set, pods);
    } else if (const auto* job = std::get_if<k8s::Job>(&object)) {
      JobExpansion(*job, phases, pods).run();
    }
  }
  auto order = [](const PodPtr& pod) {
    return std::tie(pod->meta.ns, pod->meta.name, pod->origin.file, pod->origin.mark.line);
  };
  std::sort(pods.begin(), pods.end(),
            [&](const PodPtr& a, const PodPtr& b) { return order(a) < order(b); });
  for (size_t i = 1; i < pods.size(); ++i) {
    const k8s::Pod& a = *pods[i - 1];
    const k8s::Pod& b = *pods[i];
    if (a.meta.ns == b.meta.ns && a.meta.name == b.meta.name)
      return fail(Code::kConflict, where(b) + ": the pod " + b.meta.ns + "/" + b.meta.name +
                                       " also comes from " + where(a) +
                                       "; expected one object for each pod name");
  }
  return pods;
}

std::string spec_hash(const k8s::Pod& pod) {
  static const Value kNone;
  return hex(hash_value(pod.raw ? (*pod.raw)["spec"] : kNone));
}

std::string controller_of(const k8s::Pod& pod) {
  if (!pod.raw) return "";
  for (const Value& reference : (*pod.raw)["metadata"]["ownerReferences"].items()) {
    if (reference["controller"].as_bool())
      return reference["kind"].as_string() + "/" + reference["name"].as_string();
  }
  return "";
}

}  // namespace sallyport::workload
