// The controllers of a cluster, as pure functions: Deployments, StatefulSets, Jobs and bare Pods to
// the pods that should exist. Names are stable: the same manifest always gives the same pods, and a
// changed template gives others, so that the difference of two expansions is what must be done.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "codec/value.h"
#include "k8s/objects.h"

namespace sallyport::workload {

using PodPtr = std::shared_ptr<const k8s::Pod>;

// "ns/name" to status.phase, of pods that exist. Only Jobs look at it.
using Phases = std::map<std::string, std::string>;

// The desired pods, sorted by (namespace, name). Each has a complete manifest in `raw`; uid is left
// empty, and the origin is that of the object it comes from.
//
//   Deployment   NAME-<hash of template.spec>-<5 characters from the replica's index>
//   StatefulSet  NAME-<index>
//   Job          NAME-<index>; with `phases`, at most `parallelism` unfinished ones, and each
//                failed pod is followed by NAME-<index>-r<n> until backoffLimit is reached.
//                Without `phases`: all `completions` at once.
//   Pod          as it is
//
// Labels and annotations of a template do not enter names: a change of them applies in place.
// kConflict where two pods would have one name; the message has the positions of both.
// kExhausted above 50,000 pods.
Result<std::vector<PodPtr>> expand(const std::vector<k8s::AnyObject>& objects,
                                   const Phases* phases = nullptr);

// Of the raw spec only: another hash means that the pod must be replaced. The order of keys in the
// manifest does not matter.
std::string spec_hash(const k8s::Pod& pod);

// The owner by ownerReferences with `controller: true` ("Deployment/web"), or empty.
std::string controller_of(const k8s::Pod& pod);

}  // namespace sallyport::workload
