#include "proxy/route.h"

#include <algorithm>

namespace sallyport::proxy {
namespace {

constexpr uint16_t kOutboundPort = 15001, kInboundPort = 15006;

// Rendezvous hashing: a client keeps its endpoint for as long as that is ready, without any memory.
const Backend& sticky(const ServiceEntry& service, const Ip& client) {
  const std::hash<Ip> hash;
  const Backend* best = nullptr;
  uint64_t most = 0;
  for (const Backend& backend : service.ready) {
    uint64_t weight = hash(client) * 0x9e3779b97f4a7c15ULL ^
                      std::hash<SocketAddress>{}(backend.address) * 0xc2b2ae3d27d4eb4fULL;
    weight ^= weight >> 31;
    weight *= 0xbf58476d1ce4e5b9ULL;
    weight ^= weight >> 29;
    if (!best || weight > most) {
      best = &backend;
      most = weight;
    }
  }
  return *best;
}

}  // namespace

std::string_view to_string(RefusalKind kind) {
  switch (kind) {
    case RefusalKind::kLoop:
      return "the proxy's own port";
    case RefusalKind::kUnknownPod:
      return "unknown pod address";
    case RefusalKind::kUnknownService:
      return "unknown Service address";
    case RefusalKind::kNoEndpoint:
      return "no ready endpoint";
    case RefusalKind::kNetworkPolicy:
      return "network policy";
    case RefusalKind::kNoIdentity:
      return "no certificate yet";
    case RefusalKind::kNoSocket:
      return "no socket";
    case RefusalKind::kConnect:
      return "could not connect";
    case RefusalKind::kTls:
      return "TLS handshake failed";
    case RefusalKind::kWrongPeer:
      return "another identity answered";
    case RefusalKind::kTimeout:
      return "timed out";
    case RefusalKind::kOverload:
      return "overload";
  }
  return "unknown";
}

Route resolve(const Snapshot& snapshot, const LocalPod& source, const SocketAddress& destination) {
  Route route;
  route.destination = destination;
  auto refused = [&route](RefusalKind why) {
    route.kind = Route::Kind::kRefused;
    route.refusal = why;
    return route;
  };
  if (const ServiceEntry* service = snapshot.service(destination)) {
    route.kind = Route::Kind::kService;
    route.service = service;
    route.port = {service->info->protocol, service->info};
    return route;
  }
  if (snapshot.in_service_range(destination.ip)) return refused(RefusalKind::kUnknownService);
  const PodInfo* pod = snapshot.pod(destination.ip);
  // A pod's proxy is spoken to at the application's own port only.
  if ((destination.port == kOutboundPort || destination.port == kInboundPort) &&
      (!pod || pod->meshed))
    return refused(RefusalKind::kLoop);
  if (pod) {
    route.kind = pod == source.info ? Route::Kind::kSelf : Route::Kind::kPod;
    route.pod = pod;
    route.port = snapshot.port(destination);
    return route;
  }
  if (snapshot.in_pod_range(destination.ip)) return refused(RefusalKind::kUnknownPod);
  route.kind = Route::Kind::kOutside;
  return route;
}

uint32_t Random::below(uint32_t bound) {
  state_ ^= state_ << 13;
  state_ ^= state_ >> 7;
  state_ ^= state_ << 17;
  return static_cast<uint32_t>((state_ >> 32) * bound >> 32);
}

void LoadTable::prune(size_t most) {
  if (active_.size() <= most) return;
  std::erase_if(active_, [](const auto& entry) { return entry.second == 0; });
}

std::expected<Target, Refusal> choose(const Snapshot& snapshot, const LocalPod& source,
                                      const Route& route, const Ip& client, const LoadTable& load,
                                      Random& random) {
  Target target;
  target.service = route.port.service;
  switch (route.kind) {
    case Route::Kind::kRefused:
      return std::unexpected(Refusal{route.refusal, route.destination.to_string(), {}, -1});
    case Route::Kind::kOutside:
      target.address = route.destination;
      break;
    case Route::Kind::kPod:
    case Route::Kind::kSelf:
      target.address = route.destination;
      target.pod = route.pod;
      break;
    case Route::Kind::kService: {
      const auto& ready = route.service->ready;
      if (ready.empty())
        return std::unexpected(
            Refusal{RefusalKind::kNoEndpoint, route.service->info->host, {}, -1});
      const Backend* picked = &ready.front();
      if (route.service->info->affinity) {
        picked = &sticky(*route.service, client);
      } else if (ready.size() > 1) {
        const auto size = static_cast<uint32_t>(ready.size());
        const uint32_t first = random.below(size);
        uint32_t second = random.below(size - 1);
        if (second >= first) ++second;
        picked = load.get(ready[second].address) < load.get(ready[first].address) ? &ready[second]
                                                                                  : &ready[first];
      }
      target.by_service = true;
      target.address = picked->address;
      target.pod = picked->pod;
      break;
    }
  }
  target.self = target.pod != nullptr && target.pod == source.info;
  target.mtls = target.pod && !target.self && target.pod->takes_mtls(target.address.port);
  if (snapshot.config().check_network_policy && !target.self) {
    const Ip* from = nullptr;
    for (const Ip& ip : source.info->ips)
      if (ip.family() == target.address.ip.family()) from = &ip;
    if (from) {
      const auto answer = snapshot.network(*from, target.address.ip, target.address.port);
      if (!answer.allow)
        return std::unexpected(Refusal{RefusalKind::kNetworkPolicy, std::string(answer.reason),
                                       std::string(answer.policy), answer.rule});
    }
  }
  return target;
}

Target to_application(const LocalPod& pod, const SocketAddress& client,
                      const SocketAddress& destination) {
  Target target;
  target.address = destination;
  target.socket = mesh::SocketKind::kToApp;
  target.pod = pod.info;
  // A client with the pod's own address cannot be impersonated towards it: the tuple would be the
  // application's own.
  if (client.ip != destination.ip) target.from = client.ip;
  return target;
}

}  // namespace sallyport::proxy
