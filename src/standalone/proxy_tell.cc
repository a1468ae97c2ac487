// What a proxy is told, and in which order.
#include <fcntl.h>

#include <algorithm>

#include "base/log.h"
#include "standalone/proxy_fleet.h"

namespace sallyport::standalone {
namespace {

Fd duplicate(const Fd& fd) {
  return Fd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
}

}  // namespace

// Certificates and pods before the configuration that speaks of them: once it is in force, nothing
// that it needs is missing.
void ProxyFleet::tell(ProxyLink& link, const FleetGroup& group) {
  ProxyLink::Told& told = link.told;
  if (!told.access_log_told || told.access_log != state_->access_log) {
    link.queue(mesh::AccessLogMessage{state_->access_log ? duplicate(*state_->access_log) : Fd()});
    told.access_log = state_->access_log;
    told.access_log_told = true;
  }
  tell_certificates(link, group);
  for (const auto& [uid, pod] : group.pods) {
    auto known = told.pods.find(uid);
    if (known != told.pods.end() && known->second == pod.listeners) continue;
    if (known != told.pods.end()) link.queue(mesh::PodGoneMessage{uid});
    mesh::PodMessage message;
    message.uid = uid;
    message.outbound4 = duplicate(pod.listeners->outbound4);
    message.outbound6 = duplicate(pod.listeners->outbound6);
    message.inbound4 = duplicate(pod.listeners->inbound4);
    message.inbound6 = duplicate(pod.listeners->inbound6);
    if (!message.outbound4 || !message.outbound6 || !message.inbound4 || !message.inbound6) {
      log_error("mesh", link.group() + ": " + fail_errno("duplicate a listener").error().message);
      told.pods.erase(uid);
      continue;
    }
    told.pods[uid] = pod.listeners;
    link.queue(std::move(message));
  }
  // One at a time: while a process compiles, what changes meanwhile comes as one more.
  bool busy = told.generation > std::max(link.ready, link.refused);
  if (told.generation != group.generation && group.config && !busy) {
    if (Fd content = duplicate(*group.config)) {
      link.queue(mesh::ConfigMessage{group.generation, std::move(content)});
      told.generation = group.generation;
    }
  }
  std::erase_if(told.pods, [&](const auto& pod) {
    if (group.pods.contains(pod.first)) return false;
    link.queue(mesh::PodGoneMessage{pod.first});
    return true;
  });
}

// What waited for an answer.
void ProxyFleet::tell_more(ProxyLink& link) {
  auto group = state_->groups.find(link.group());
  auto known = links_.find(link.group());
  if (group != state_->groups.end() && known != links_.end() && known->second.get() == &link)
    tell(link, group->second);
}

void ProxyFleet::tell_certificates(ProxyLink& link, const FleetGroup& group) {
  if (!certificates_) return;
  std::set<std::string> wanted;
  for (const auto& [uid, pod] : group.pods) wanted.insert(pod.identity);
  for (const std::string& id : wanted) {
    const Certificates::Issued* issued = certificates_->find(id);
    if (!issued || link.told.serials[id] == issued->serial) continue;
    Fd content = duplicate(*issued->content);
    if (!content) continue;
    link.queue(mesh::SvidMessage{id, std::move(content)});
    link.told.serials[id] = issued->serial;
  }
  std::erase_if(link.told.serials, [&](const auto& told) { return !wanted.contains(told.first); });
}

}  // namespace sallyport::standalone
