// Objects for this module's tests, made without a manifest parser.
#pragma once

#include <memory>
#include <string>

#include "codec/value.h"
#include "k8s/objects.h"

namespace sallyport::workload::test {

inline void name(k8s::Object& object, std::string kind, std::string ns, std::string text,
                 int line = 1) {
  object.api_version = kind == "Job" ? "batch/v1" : kind == "Pod" ? "v1" : "apps/v1";
  object.kind = std::move(kind);
  object.meta.ns = std::move(ns);
  object.meta.name = std::move(text);
  object.origin = {"test.yaml", {line, 1}};
}

// A template with one container of the image.
inline k8s::PodTemplate pod_template(const std::string& image, k8s::Labels labels = {}) {
  k8s::PodTemplate result;
  result.labels = std::move(labels);
  k8s::Container container;
  container.name = "main";
  container.image = image;
  result.spec.containers.push_back(container);

  codec::Value raw_container = codec::Value::map();
  raw_container.set("name", "main");
  raw_container.set("image", image);
  codec::Value spec = codec::Value::map();
  spec.set("containers", codec::Value::list()).push(raw_container);
  codec::Value raw = codec::Value::map();
  raw.set("spec", spec);
  result.raw = std::make_shared<const codec::Value>(raw);
  return result;
}

inline k8s::Deployment deployment(const std::string& ns, const std::string& text, int replicas,
                                  const std::string& image = "one", k8s::Labels labels = {}) {
  k8s::Deployment result;
  name(result, "Deployment", ns, text);
  result.replicas = replicas;
  result.pod = pod_template(image, std::move(labels));
  return result;
}

inline k8s::Pod pod(const std::string& ns, const std::string& text, int line = 1) {
  k8s::Pod result;
  name(result, "Pod", ns, text, line);
  result.spec = pod_template("one").spec;
  codec::Value raw = *pod_template("one").raw;
  raw.set("metadata", codec::Value::map()).set("name", text);
  result.raw = std::make_shared<const codec::Value>(raw);
  return result;
}

}  // namespace sallyport::workload::test
