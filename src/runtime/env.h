// The environment of a container, as the kubelet builds it: envFrom, then env in order, with
// $(NAME) references. Nothing of the node's own environment is in it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/pod_runtime.h"

namespace sallyport::runtime {

// "$(NAME)" becomes lookup(NAME) where that gives text; "$$" becomes "$"; everything else stays.
// Source: Kubernetes third_party/forked/golang/expansion, as documented for `command` and `args`.
std::string expand_references(std::string_view text,
                              const std::function<const std::string*(const std::string&)>& lookup);

using Env = std::vector<std::pair<std::string, std::string>>;  // in order, names are unique

// kInvalid: a reference to what does not exist, unless it is optional.
Result<Env> container_env(const PodRequest& request, const k8s::Container& container);
const std::string* find_env(const Env& env, const std::string& name);  // null: not set

// A fieldRef path: "metadata.name", "metadata.labels['key']", "status.podIPs", ...
Result<std::string> field_value(const PodRequest& request, const std::string& path);

}  // namespace sallyport::runtime
