#include "analysis/names.h"

#include <algorithm>
#include <vector>

#include "base/strings.h"

namespace sallyport::analysis {
namespace {

constexpr size_t kMostHints = 3;

// "; did you mean a, b?", or nothing.
std::string hint(const std::vector<std::string>& candidates) {
  if (candidates.empty()) return "";
  std::vector<std::string> shown(
      candidates.begin(),
      candidates.begin() + static_cast<std::ptrdiff_t>(std::min(candidates.size(), kMostHints)));
  return "; did you mean " + join(shown, " or ") + "?";
}

}  // namespace

std::optional<k8s::Protocol> protocol_of(std::string_view text) {
  using enum k8s::Protocol;
  for (k8s::Protocol protocol : {kTcp, kUdp, kSctp, kIcmp})
    if (k8s::to_string(protocol) == text) return protocol;
  return std::nullopt;
}

Result<const world::Endpoint*> find_pod(const world::World& world, const std::string& ns,
                                        const std::string& name) {
  if (const world::Endpoint* pod = world.find_pod(ns, name)) return pod;
  // A Deployment's name stands for its pods; or the name is right and the namespace is not.
  std::vector<std::string> near, elsewhere;
  for (const world::Endpoint& pod : world.endpoints) {
    if (pod.ns == ns && pod.name.starts_with(name + "-")) near.push_back(pod.key());
    if (pod.ns != ns && (pod.name == name || pod.name.starts_with(name + "-")))
      elsewhere.push_back(pod.key());
  }
  return fail(Code::kNotFound,
              "there is no pod " + ns + "/" + name + hint(near.empty() ? elsewhere : near));
}

Result<const k8s::Service*> find_service(const world::World& world, const std::string& ns,
                                         const std::string& name) {
  std::vector<std::string> elsewhere;
  for (const auto& service : world.services) {
    if (service->meta.name != name) continue;
    if (service->meta.ns == ns) return service.get();
    elsewhere.push_back("svc/" + service->meta.ns + "/" + name);
  }
  return fail(Code::kNotFound, "there is no Service " + ns + "/" + name + hint(elsewhere));
}

}  // namespace sallyport::analysis
