// Worlds for tests of Services, without a kernel.
#pragma once

#include <memory>
#include <string>

#include "world/world.h"

namespace sallyport::world {

inline Ip ip_of(const char* text) {
  return Ip::parse(text).value();
}

inline Endpoint make_pod(const std::string& ns, const std::string& name, const char* v4,
                         const char* v6, const k8s::Labels& labels = {{"app", "web"}}) {
  Endpoint pod;
  pod.ns = ns;
  pod.name = name;
  pod.labels = labels;
  if (*v4) pod.ips.push_back(ip_of(v4));
  if (*v6) pod.ips.push_back(ip_of(v6));
  pod.ready = true;
  return pod;
}

inline std::shared_ptr<k8s::Service> make_service(const std::string& ns, const std::string& name) {
  auto service = std::make_shared<k8s::Service>();
  service->meta.ns = ns;
  service->meta.name = name;
  service->selector = {{"app", "web"}};
  service->cluster_ips = {ip_of("198.19.1.1"), ip_of("fd00:5a11:0:1::101")};
  service->ports = {{"", k8s::Protocol::kTcp, 80, {8080, ""}, ""}};
  return service;
}

}  // namespace sallyport::world
