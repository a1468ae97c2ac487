#include "node/cluster_ips.h"

#include <algorithm>

#include "base/strings.h"

namespace sallyport::node {
namespace {

constexpr std::string_view kHeader = "sallyport cluster addresses 1";
constexpr uint32_t kReservedLow = 256;

uint32_t size_of(const Cidr& range) {
  int host_bits = (range.family() == Family::kV4 ? 32 : 128) - range.bits;
  return uint32_t{1} << std::min(host_bits, 24);
}

}  // namespace

Result<Ip> ClusterIps::by_hash(const std::string& key, const Cidr& range) const {
  uint32_t slots = size_of(range) - kReservedLow - 1;  // not the last, which is IPv4's broadcast
  uint32_t start = static_cast<uint32_t>(fnv1a(key) % slots);
  for (uint32_t step = 0; step < slots; ++step) {
    Ip ip = offset_ip(range.base, kReservedLow + (start + step) % slots);
    if (!owners_.contains(ip)) return ip;
  }
  return fail(Code::kExhausted,
              "no Service address of " + range.to_string() + " is free for " + key);
}

Result<std::vector<Ip>> ClusterIps::assign(const k8s::Service& service) {
  std::string key = service.meta.ns + "/" + service.meta.name;
  std::vector<Ip> held;
  for (const auto& [ip, owner] : owners_)
    if (owner == key) held.push_back(ip);
  std::vector<Ip> result;
  if (service.headless) {
    // Falls through: what it held before it became headless is freed.
  } else if (service.cluster_ips.empty()) {
    for (const Cidr* range : {&ranges_.services4, &ranges_.services6}) {
      auto kept =
          std::find_if(held.begin(), held.end(), [&](const Ip& ip) { return range->contains(ip); });
      if (kept != held.end()) {
        result.push_back(*kept);
      } else {
        SP_TRY(Ip ip, by_hash(key, *range));
        result.push_back(ip);
      }
    }
  } else {
    for (const Ip& ip : service.cluster_ips) {
      const Cidr& range = ip.family() == Family::kV4 ? ranges_.services4 : ranges_.services6;
      if (!range.contains(ip) || ip == range.base ||
          ip == offset_ip(range.base, size_of(range) - 1))
        return fail(Code::kInvalid, "Service " + key + ": clusterIP " + ip.to_string() +
                                        " is no Service address: expected one of " +
                                        range.to_string());
      for (const Ip& other : result)
        if (other.family() == ip.family())
          return fail(Code::kInvalid, "Service " + key + ": clusterIPs " + other.to_string() +
                                          " and " + ip.to_string() +
                                          " are of one family, expected one of each at most");
      if (auto it = owners_.find(ip); it != owners_.end() && it->second != key)
        return fail(Code::kConflict, "Service " + key + ": clusterIP " + ip.to_string() +
                                         " belongs to Service " + it->second +
                                         ": choose another, or leave it out");
      result.push_back(ip);
    }
  }
  for (const Ip& ip : held)
    if (std::find(result.begin(), result.end(), ip) == result.end()) owners_.erase(ip);
  for (const Ip& ip : result) owners_[ip] = key;
  return result;
}

void ClusterIps::settle(const world::World& world) {
  std::set<std::string> present;
  for (const auto& service : world.services)
    present.insert(service->meta.ns + "/" + service->meta.name);
  std::erase_if(owners_, [&](const auto& entry) {
    return seen_.contains(entry.second) && !present.contains(entry.second);
  });
  seen_ = std::move(present);
}

std::string ClusterIps::to_text() const {
  std::string text(kHeader);
  text += '\n';
  for (const auto& [ip, owner] : owners_) text += ip.to_string() + " " + owner + "\n";
  return text;
}

Status ClusterIps::load(std::string_view text) {
  std::vector<std::string> lines = split(text, '\n');
  if (lines.empty() || lines[0] != kHeader)
    return fail(Code::kInvalid, "expected the first line \"" + std::string(kHeader) + "\"");
  std::map<Ip, std::string> owners;
  for (size_t i = 1; i < lines.size(); ++i) {
    if (lines[i].empty()) continue;
    size_t blank = lines[i].find(' ');
    auto ip = Ip::parse(std::string_view(lines[i]).substr(0, blank));
    if (blank == std::string::npos || !ip || lines[i].find('/', blank) == std::string::npos ||
        !(ranges_.services4.contains(*ip) || ranges_.services6.contains(*ip)))
      return fail(Code::kInvalid, "line " + std::to_string(i + 1) + " is \"" + lines[i] +
                                      "\", expected a Service address and NAMESPACE/NAME");
    owners[*ip] = lines[i].substr(blank + 1);
  }
  owners_ = std::move(owners);
  // Services that never come back free their addresses with the first world that lacks them.
  for (const auto& [ip, owner] : owners_) seen_.insert(owner);
  return {};
}

}  // namespace sallyport::node
