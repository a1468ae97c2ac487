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

Result<std::vector<Ip>> ClusterIps::written(const k8s::Service& service,
                                            const std::string& key) const {
  std::vector<Ip> result;
  for (const Ip& ip : service.cluster_ips) {
    const Cidr& range = ip.family() == Family::kV4 ? ranges_.services4 : ranges_.services6;
    if (!range.contains(ip) || ip == range.base || ip == offset_ip(range.base, size_of(range) - 1))
      return fail(Code::kInvalid, "Service " + key + ": clusterIP " + ip.to_string() +
                                      " is no Service address: expected one of " +
                                      range.to_string());
    for (const Ip& other : result)
      if (other.family() == ip.family())
        return fail(Code::kInvalid, "Service " + key + ": clusterIPs " + other.to_string() +
                                        " and " + ip.to_string() +
                                        " are of one family, expected one of each at most");
    auto owner = owners_.find(ip);
    if (owner != owners_.end() && owner->second != key && asked_.contains(owner->second))
      return fail(Code::kConflict, "Service " + key + ": clusterIP " + ip.to_string() +
                                       " belongs to Service " + owner->second +
                                       ": choose another, or leave it out");
    result.push_back(ip);
  }
  return result;
}

Result<std::vector<Ip>> ClusterIps::chosen(const std::string& key) const {
  std::vector<Ip> result;
  for (const Cidr* range : {&ranges_.services4, &ranges_.services6}) {
    auto kept = std::find_if(owners_.begin(), owners_.end(), [&](const auto& entry) {
      return entry.second == key && range->contains(entry.first);
    });
    if (kept != owners_.end()) {
      result.push_back(kept->first);
    } else {
      SP_TRY(Ip ip, by_hash(key, *range));
      result.push_back(ip);
    }
  }
  return result;
}

Result<std::vector<Ip>> ClusterIps::assign(const k8s::Service& service) {
  std::string key = service.meta.ns + "/" + service.meta.name;
  if (!asked_.insert(key).second) {
    owners_ = settled_;
    asked_ = {key};
  }
  std::vector<Ip> result;
  if (!service.headless) {
    SP_TRY(result, service.cluster_ips.empty() ? chosen(key) : written(service, key));
  }
  std::erase_if(owners_, [&](const auto& entry) { return entry.second == key; });
  for (const Ip& ip : result) owners_[ip] = key;
  return result;
}

void ClusterIps::settle(const world::World& world) {
  std::set<std::string> present;
  for (const auto& service : world.services)
    present.insert(service->meta.ns + "/" + service->meta.name);
  std::erase_if(owners_, [&](const auto& entry) { return !present.contains(entry.second); });
  settled_ = owners_;
  asked_.clear();
}

std::string ClusterIps::to_text() const {
  std::string text(kHeader);
  text += '\n';
  for (const auto& [ip, owner] : settled_) text += ip.to_string() + " " + owner + "\n";
  return text;
}

Status ClusterIps::load(std::string_view text) {
  std::vector<std::string> lines = split(text, '\n');
  if (lines.empty() || lines[0] != kHeader)
    return fail(Code::kInvalid, "expected the first line \"" + std::string(kHeader) + "\"");
  Owners owners;
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
  settled_ = owners_ = std::move(owners);
  asked_.clear();
  return {};
}

}  // namespace sallyport::node
