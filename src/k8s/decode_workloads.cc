#include <algorithm>

#include "k8s/decode.h"
#include "k8s/selector.h"

namespace sallyport::k8s {
namespace {

// apps/v1: the selector chooses something, and the template is among what it chooses.
LabelSelector decode_own_selector(const Field& spec, const PodTemplate& pod) {
  Field field = spec["selector"];
  LabelSelector selector = decode_selector(field);
  if (!field.value().is_map()) return selector;  // reported by check_shape
  if (selector.empty()) {
    field.error("is empty, expected at least one label");
  } else if (!matches(selector, pod.labels)) {
    Field labels = spec["template"]["metadata"]["labels"];
    labels.error("the selector (" + to_string(selector) +
                 ") does not match these labels, which its own pods get");
  }
  return selector;
}

}  // namespace

PodTemplate decode_pod_template(const Field& field, PodOwner owner) {
  PodTemplate pod;
  ObjectMeta meta;
  decode_meta(field["metadata"], meta);
  pod.labels = std::move(meta.labels);
  pod.annotations = std::move(meta.annotations);
  pod.spec = decode_pod_spec(field["spec"], owner);
  pod.raw = std::make_shared<codec::Value>(field.value());
  return pod;
}

void decode(const Field& root, Deployment& out) {
  Field spec = root["spec"];
  out.replicas = spec["replicas"].number(1);
  out.pod = decode_pod_template(spec["template"], PodOwner::kDeployment);
  out.selector = decode_own_selector(spec, out.pod);
  Field strategy = spec["strategy"];
  Field rolling = strategy["rollingUpdate"];
  if (strategy["type"].text() == "Recreate" && rolling.present())
    rolling.error_at_key("may not be set with type Recreate");
  auto is_zero = [](const Field& f) {
    return f.present() && ((!f.value().is_string() && f.integer() == 0) || f.text() == "0%");
  };
  if (is_zero(rolling["maxSurge"]) && is_zero(rolling["maxUnavailable"]))
    rolling["maxUnavailable"].error("may not be 0 when maxSurge is 0");
}

void decode(const Field& root, StatefulSet& out) {
  Field spec = root["spec"];
  out.replicas = spec["replicas"].number(1);
  out.service_name = spec["serviceName"].text();
  out.pod = decode_pod_template(spec["template"], PodOwner::kStatefulSet);
  out.selector = decode_own_selector(spec, out.pod);
}

void decode(const Field& root, Job& out) {
  Field spec = root["spec"];
  out.pod = decode_pod_template(spec["template"], PodOwner::kJob);
  out.parallelism = spec["parallelism"].number(1);
  // Without completions, the workers share one queue and the job is done when they are: each of
  // them once.
  out.completions = spec["completions"].number(std::max(1, out.parallelism));
  out.backoff_limit = spec["backoffLimit"].number(6);
  if (spec["completionMode"].text() == "Indexed" && !spec["completions"].present())
    spec["completions"].error("is missing; completionMode Indexed requires it");
  if (spec["selector"].present() && !spec["manualSelector"].boolean() &&
      !root["metadata"]["uid"].present())
    spec["selector"].error_at_key("is made by the API server, expected none");
}

}  // namespace sallyport::k8s
