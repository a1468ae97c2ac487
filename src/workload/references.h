// The ConfigMaps and Secrets that a pod names, looked up in its namespace.
#pragma once

#include <expected>
#include <map>
#include <string>
#include <vector>

#include "k8s/manifest.h"
#include "k8s/objects.h"

namespace sallyport::workload {

struct References {
  // name -> data (decoded). Optional ones that do not exist are absent.
  std::map<std::string, std::map<std::string, std::string>> config_maps;
  std::map<std::string, std::map<std::string, std::string>> secrets;
};

// All that env, envFrom and volumes of the pod name. The errors, one for each reference or key that
// is missing and not optional, point at the field in the pod's manifest where it is known.
std::expected<References, std::vector<k8s::Diagnostic>> resolve_refs(
    const k8s::Pod& pod, const std::vector<k8s::AnyObject>& objects);

}  // namespace sallyport::workload
