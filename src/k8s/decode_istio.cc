// What Istio's policies have in common: the workloads that they are for, and the dry run.
#include <algorithm>
#include <array>

#include "k8s/decode.h"
#include "k8s/formats.h"

namespace sallyport::k8s {
namespace {

constexpr size_t kMostLabels = 4096;
constexpr size_t kMostLabelValue = 63;
constexpr size_t kMostTargets = 16;
constexpr std::string_view kDryRun = "istio.io/dry-run";

void check_target(const Field& target) {
  struct Known {
    std::string_view group, kind;
  };
  constexpr std::array kKnown{Known{"gateway.networking.k8s.io", "Gateway"},
                              Known{"gateway.networking.k8s.io", "GatewayClass"},
                              Known{"", "Service"}, Known{"core", "Service"},
                              Known{"networking.istio.io", "ServiceEntry"}};
  if (!target.value().is_map()) return;
  if (target["name"].text().empty()) target["name"].error("targetRef name must be set");
  if (!target["namespace"].text().empty())
    target["namespace"].error(
        "targetRef namespace must not be set; cross namespace referencing is not supported");
  const std::string& kind = target["kind"].text();
  if (kind.empty()) {
    target["kind"].error("targetRef kind must be set");
    return;
  }
  bool known = std::any_of(kKnown.begin(), kKnown.end(), [&](const Known& k) {
    return k.kind == kind && k.group == target["group"].text();
  });
  if (!known)
    target.error(quoted(target["group"].text() + "/" + kind) +
                 ": targetRef must be to one of [gateway.networking.k8s.io/Gateway, "
                 "gateway.networking.k8s.io/GatewayClass, core/Service, "
                 "networking.istio.io/ServiceEntry]");
}

}  // namespace

Labels decode_workload_selector(const Field& selector) {
  Labels labels;
  Field match = selector["matchLabels"];
  if (selector.value().is_map() && match.value().members().empty()) {
    selector.warning("workload selector specified without labels: it selects every workload");
    return labels;
  }
  if (match.value().members().size() > kMostLabels)
    match.error(std::to_string(match.value().members().size()) + " labels, expected at most " +
                std::to_string(kMostLabels));
  for (const Field& entry : match.entries()) {
    if (entry.key().empty())
      entry.error_at_key("empty key is not supported in selector");
    else if (entry.key().find('*') != std::string::npos)
      entry.error_at_key("key " + quoted(entry.key()) + ": wildcard is not supported in selector");
    if (entry.text().find('*') != std::string::npos)
      entry.error(quoted(entry.text()) + ": wildcard is not supported in selector");
    else if (entry.text().size() > kMostLabelValue)
      entry.error("is " + std::to_string(entry.text().size()) +
                  " characters long, expected at most " + std::to_string(kMostLabelValue));
    labels[entry.key()] = entry.text();
  }
  return labels;
}

IstioScope decode_istio_scope(const Field& spec) {
  IstioScope scope;
  Field selector = spec["selector"];
  Field one = spec["targetRef"];
  Field many = spec["targetRefs"];
  bool has_many = !many.value().items().empty();
  scope.labels = decode_workload_selector(selector);
  scope.has_target_refs = one.present() || has_many;
  if (selector.present() + one.present() + has_many > 1)
    spec.error("only one of targetRefs or workloadSelector can be set");
  if (many.value().items().size() > kMostTargets)
    many.error(std::to_string(many.value().items().size()) + " items, expected at most " +
               std::to_string(kMostTargets));
  check_target(one);
  for (const Field& target : many.items()) check_target(target);
  if (scope.has_target_refs)
    (one.present() ? one : many)
        .warning("selects gateways and waypoints only; no sidecar heeds this policy");
  return scope;
}

bool decode_dry_run(const Field& metadata, bool allowed, std::string_view who_has_it) {
  for (const Field& annotation : metadata["annotations"].entries()) {
    if (annotation.key() != kDryRun) continue;
    if (!allowed) {
      annotation.error_at_key("is not supported here, expected it only on " +
                              std::string(who_has_it));
      return false;
    }
    for (std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"})
      if (annotation.text() == yes) return true;
    for (std::string_view no : {"0", "f", "F", "false", "FALSE", "False"})
      if (annotation.text() == no) return false;
    annotation.error(quoted(annotation.text()) +
                     " is not a boolean, expected \"true\" or \"false\"");
  }
  return false;
}

}  // namespace sallyport::k8s
