// Sockets for proxies: the work inside the pods' network namespaces.
#include <algorithm>

#include "base/log.h"
#include "standalone/proxy_fleet.h"

namespace sallyport::standalone {
namespace {

constexpr int kMostAtOnce = 1024;  // for one request
constexpr int kPerMessage = 128;
constexpr auto kRetry = std::chrono::milliseconds(100);
constexpr size_t kMostNeeds = 10'000;

}  // namespace

// False where the kernel has none to give now: it is tried again.
bool ProxyFleet::give_sockets(ProxyLink& link, const mesh::NeedSockets& wanted) {
  auto group = state_->groups.find(link.group());
  if (group == state_->groups.end()) return true;
  // Only of pods that it serves: a process that asks for others gets nothing.
  auto pod = group->second.pods.find(wanted.uid);
  if (pod == group->second.pods.end() || !link.told.pods.contains(wanted.uid)) return true;
  capture::Leg leg =
      wanted.kind == mesh::SocketKind::kOutbound ? capture::Leg::kOutbound : capture::Leg::kToApp;
  auto made = capture::make_sockets(pod->second.netns->get(), leg, wanted.family, pod->second.marks,
                                    std::min(wanted.count, kMostAtOnce));
  if (!made) {
    log_error("mesh",
              link.group() + ": sockets for pod " + wanted.uid + ": " + made.error().message);
    return needs_.size() >= kMostNeeds;
  }
  for (size_t i = 0; i < made->size(); i += kPerMessage) {
    mesh::SocketsMessage message{wanted.uid, wanted.kind, wanted.family, {}};
    size_t end = std::min(made->size(), i + kPerMessage);
    std::move(made->begin() + static_cast<std::ptrdiff_t>(i),
              made->begin() + static_cast<std::ptrdiff_t>(end),
              std::back_inserter(message.sockets));
    link.queue(std::move(message));
  }
  return true;
}

void ProxyFleet::retry_needs() {
  auto now = clock_.now();
  std::vector<Need> due;
  std::erase_if(needs_, [&](Need& need) {
    if (now < need.due) return false;
    due.push_back(std::move(need));
    return true;
  });
  for (Need& need : due) {
    auto link = links_.find(need.group);
    if (link == links_.end() || !link->second->running()) continue;
    if (give_sockets(*link->second, need.wanted)) continue;
    need.due = now + kRetry;
    needs_.push_back(std::move(need));
  }
}

}  // namespace sallyport::standalone
