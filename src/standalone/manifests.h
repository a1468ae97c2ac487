// What a standalone node takes from manifests: everything is checked before anything changes.
#pragma once

#include <expected>
#include <vector>

#include "k8s/manifest.h"
#include "node/network.h"
#include "workload/expand.h"

namespace sallyport::standalone {

struct AcceptedManifests {
  std::vector<k8s::AnyObject> objects;    // with the built-in ones
  std::vector<workload::PodPtr> desired;  // all completions of Jobs count as desired here
  std::vector<k8s::Diagnostic> warnings;
};

// The errors that keep the manifests from being taken over: those of the API server, of what this
// node supports, of references (namespaces, service accounts, ConfigMaps, Secrets), and of names.
std::expected<AcceptedManifests, std::vector<k8s::Diagnostic>> accept_manifests(
    k8s::Manifest manifest, const node::Ranges& ranges, bool allow_unenforced);

}  // namespace sallyport::standalone
