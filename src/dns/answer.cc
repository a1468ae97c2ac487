#include <algorithm>
#include <string>

#include "dns/message.h"
#include "dns/server.h"

namespace sallyport::dns {
namespace {

using Section = Writer::Section;

constexpr uint32_t kTtl = 5;  // seconds; endpoints come and go
constexpr size_t kSmallest = 512;

bool below(std::string_view name, std::string_view domain) {
  return name.size() > domain.size() && name.ends_with(domain) &&
         name[name.size() - domain.size() - 1] == '.';
}

class Answerer {
 public:
  Answerer(const Zone& zone, const Query& query, size_t limit)
      : zone_(zone), query_(query), writer_(query, limit, true) {}

  std::vector<uint8_t> run() {
    if (query_.edns && query_.edns->version != 0) return writer_.finish(kBadVers);
    if (query_.klass != kClassIn) return writer_.finish(kRefused);
    if (query_.type == kOpt) return writer_.finish(kFormErr);
    // RFC 8482 lets a server refuse ANY; transfers and the other questions about many types too.
    if (query_.type >= kIxfr && query_.type <= kAny) return writer_.finish(kRefused);
    const bool inside = query_.name == zone_.domain || below(query_.name, zone_.domain);
    return inside ? in_domain() : reverse();
  }

 private:
  std::vector<uint8_t> in_domain() {
    writer_.set_authoritative();
    bool found = false;
    switch (query_.type) {
      case kA:
      case kAaaa:
        found = addresses();
        break;
      case kSrv:
        found = services();
        break;
      case kSoa:
        if (query_.name == zone_.domain) return soa(Section::kAnswer, kNoError);
        break;
      case kNs:
        if (query_.name == zone_.domain) {
          add(writer_.pointer(Section::kAnswer, zone_.domain, kTtl, kNs, server()));
          return writer_.finish(kNoError);
        }
        break;
      default:
        break;
    }
    if (found) return writer_.finish(kNoError);
    return soa(Section::kAuthority, exists() ? kNoError : kNxDomain);
  }

  // Reverse names that are known; everything else does not exist here, and there is nobody to ask.
  std::vector<uint8_t> reverse() {
    auto pointer = zone_.pointers.find(query_.name);
    if (pointer != zone_.pointers.end()) {
      writer_.set_authoritative();
      if (query_.type == kPtr)
        add(writer_.pointer(Section::kAnswer, query_.name, kTtl, kPtr, pointer->second));
      return writer_.finish(kNoError);
    }
    return writer_.finish(zone_.parents.contains(query_.name) ? kNoError : kNxDomain);
  }

  bool addresses() {
    auto found = zone_.addresses.find(query_.name);
    if (found == zone_.addresses.end()) return false;
    const Family family = query_.type == kA ? Family::kV4 : Family::kV6;
    std::vector<Ip> ips;
    for (const Ip& ip : found->second)
      if (ip.family() == family) ips.push_back(ip);
    // The order turns with the query's id, so that clients spread over the endpoints.
    for (size_t i = 0; i < ips.size(); ++i) {
      const Ip& ip = ips[(i + query_.id) % ips.size()];
      if (!add(writer_.address(Section::kAnswer, query_.name, kTtl, ip))) break;
    }
    return !ips.empty();
  }

  bool services() {
    auto found = zone_.services.find(query_.name);
    if (found == zone_.services.end() || found->second.empty()) return false;
    for (const ServiceRecord& record : found->second) {
      if (!add(writer_.service(Section::kAnswer, query_.name, kTtl, record.port, record.target)))
        return true;
    }
    // The targets' addresses save the client a question; where they do not fit, it asks.
    std::unordered_set<std::string_view> told;
    for (const ServiceRecord& record : found->second) {
      auto target = zone_.addresses.find(record.target);
      if (target == zone_.addresses.end() || !told.insert(record.target).second) continue;
      for (const Ip& ip : target->second)
        if (!writer_.address(Section::kAdditional, record.target, kTtl, ip)) return true;
    }
    return true;
  }

  std::vector<uint8_t> soa(Section section, Rcode rcode) {
    add(writer_.start_of_authority(section, zone_.domain, kTtl, server(),
                                   "hostmaster." + zone_.domain));
    return writer_.finish(rcode);
  }

  [[nodiscard]] bool exists() const {
    return query_.name == zone_.domain || zone_.addresses.contains(query_.name) ||
           zone_.services.contains(query_.name) || zone_.parents.contains(query_.name);
  }
  [[nodiscard]] std::string server() const { return "ns.dns." + zone_.domain; }

  bool add(bool fits) {
    if (!fits) writer_.set_truncated();
    return fits;
  }

  const Zone& zone_;
  const Query& query_;
  Writer writer_;
};

size_t limit_of(const Query& query, size_t max_size) {
  if (max_size >= kTcpSize) return kTcpSize;
  const size_t offered = query.edns ? query.edns->udp_size : kSmallest;
  return std::max(kSmallest, std::min(offered, max_size));
}

}  // namespace

std::vector<uint8_t> answer(const Zone& zone, std::span<const uint8_t> packet, size_t max_size) {
  Query partial;
  const auto query = parse_query(packet, partial);
  if (!query) {
    if (query.error() == Malformed::kIgnore) return {};
    return Writer(partial, kSmallest, false).finish(kFormErr);
  }
  if (query->opcode != 0) return Writer(*query, kSmallest, false).finish(kNotImp);
  return Answerer(zone, *query, limit_of(*query, max_size)).run();
}

}  // namespace sallyport::dns
