// The mesh's settings: key `mesh` of the ConfigMap `istio` in `istio-system`, a YAML document of
// Istio's MeshConfig of which these fields are read
// (istio.io/docs/reference/config/istio.mesh.v1alpha1).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "k8s/manifest.h"
#include "k8s/objects.h"

namespace sallyport::k8s {

enum class PathNormalization { kNone, kBase, kMergeSlashes, kDecodeAndMergeSlashes };

struct MeshSettings {
  std::string trust_domain = "cluster.local";
  std::string root_namespace = "istio-system";
  PathNormalization path_normalization = PathNormalization::kMergeSlashes;
  std::string access_log_file;  // empty: no access log
  bool access_log_json = false;
  // TEXT: the format string; JSON: a template object whose values are format strings. Empty:
  // Istio's default.
  std::string access_log_format;
  int trusted_proxies = 0;  // defaultConfig.gatewayTopology.numTrustedProxies
  bool operator==(const MeshSettings&) const = default;
};

// The settings of these objects; the defaults where no such ConfigMap is there. Fields that are not
// read are named in one warning; a wrong type or value is an error at the ConfigMap's place.
MeshSettings mesh_settings(const std::vector<AnyObject>& objects, std::vector<Diagnostic>& out);

}  // namespace sallyport::k8s
