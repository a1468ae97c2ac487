#include "workload/offline_world.h"

#include <set>
#include <string>
#include <string_view>
#include <unordered_set>

#include "workload/expand.h"

namespace sallyport::workload {
namespace {

bool ended(const k8s::Pod& pod) {
  return pod.status.phase == "Succeeded" || pod.status.phase == "Failed";
}

// "Kind/ns/name" of the workloads whose pods the manifests hold already. A Deployment owns its pods
// through a ReplicaSet, whose name is the Deployment's with the pods' template hash.
std::set<std::string> observed_workloads(const std::vector<k8s::AnyObject>& objects) {
  std::set<std::string> owners;
  for (const k8s::AnyObject& object : objects) {
    const auto* pod = std::get_if<k8s::Pod>(&object);
    if (pod == nullptr) continue;
    std::string owner = controller_of(*pod);
    constexpr std::string_view kSet = "ReplicaSet/";
    auto hash = pod->meta.labels.find("pod-template-hash");
    if (owner.starts_with(kSet) && hash != pod->meta.labels.end() &&
        owner.ends_with("-" + hash->second)) {
      owner = "Deployment/" +
              owner.substr(kSet.size(), owner.size() - kSet.size() - hash->second.size() - 1);
    }
    const size_t slash = owner.find('/');
    if (slash != std::string::npos)
      owners.insert(owner.substr(0, slash + 1) + pod->meta.ns + owner.substr(slash));
  }
  return owners;
}

bool is_workload(const k8s::AnyObject& object) {
  return std::holds_alternative<k8s::Deployment>(object) ||
         std::holds_alternative<k8s::StatefulSet>(object) ||
         std::holds_alternative<k8s::Job>(object);
}

std::string_view kind_of(const k8s::AnyObject& object) {
  if (std::holds_alternative<k8s::Deployment>(object)) return "Deployment";
  if (std::holds_alternative<k8s::StatefulSet>(object)) return "StatefulSet";
  return "Job";
}

class AddressGiver {
 public:
  explicit AddressGiver(const std::vector<k8s::AnyObject>& objects) {
    for (const k8s::AnyObject& object : objects) {
      if (const auto* pod = std::get_if<k8s::Pod>(&object))
        used_.insert(pod->status.pod_ips.begin(), pod->status.pod_ips.end());
      else if (const auto* node = std::get_if<k8s::Node>(&object))
        used_.insert(node->addresses.begin(), node->addresses.end());
    }
  }

  Status give(k8s::Pod& pod) {
    constexpr uint32_t kLast = 0xfffe;  // of 198.18.0.0/16
    while (next_ <= kLast) {
      const uint32_t offset = next_++;
      const Ip v4 = offset_ip(Ip::v4(0xc6120000), offset);
      Ip v6;
      v6.bytes = {0xfd, 0x00, 0x5a, 0x11};
      v6 = offset_ip(v6, offset);
      if (used_.contains(v4) || used_.contains(v6)) continue;
      pod.status.pod_ips = {v4, v6};
      return {};
    }
    return fail(
        Code::kExhausted,
        "more than 65,534 pods without status.podIPs: there are no synthetic addresses left; "
        "expected addresses in the manifests");
  }

 private:
  std::unordered_set<Ip> used_;
  uint32_t next_ = 1;
};

}  // namespace

Result<std::vector<k8s::AnyObject>> offline_objects(const std::vector<k8s::AnyObject>& objects) {
  const std::set<std::string> observed = observed_workloads(objects);
  std::vector<k8s::AnyObject> result;
  std::vector<k8s::AnyObject> sources;
  for (const k8s::AnyObject& object : objects) {
    if (std::holds_alternative<k8s::Pod>(object)) {
      sources.push_back(object);
    } else if (is_workload(object)) {
      const k8s::ObjectMeta& meta = k8s::base_of(object).meta;
      if (!observed.contains(std::string(kind_of(object)) + "/" + meta.ns + "/" + meta.name))
        sources.push_back(object);
    } else {
      result.push_back(object);
    }
  }
  SP_TRY(const std::vector<PodPtr> pods, expand(sources));
  AddressGiver giver(objects);
  for (const PodPtr& desired : pods) {
    k8s::Pod pod = *desired;
    if (pod.status.pod_ips.empty() && !pod.spec.host_network && !ended(pod))
      SP_CHECK_OK(giver.give(pod));
    result.emplace_back(std::move(pod));
  }
  return result;
}

Result<world::World> world_from_manifests(const std::vector<k8s::AnyObject>& objects) {
  SP_TRY(const std::vector<k8s::AnyObject> expanded, offline_objects(objects));
  return world::from_objects(expanded);
}

}  // namespace sallyport::workload
