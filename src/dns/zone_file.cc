// The records file:
//
//   sallyport-dns 1
//   domain cluster.local
//   address NAME IP [IP ...]
//   service NAME PORT TARGET
//   pointer NAME TARGET
//   end NUMBER-OF-RECORD-LINES
#include <optional>

#include "base/strings.h"
#include "dns/server.h"

namespace sallyport::dns {
namespace {

constexpr std::string_view kFirstLine = "sallyport-dns 1";

void add_parents(std::string_view name, std::unordered_set<std::string>& parents) {
  for (size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
    name.remove_prefix(dot + 1);
    // Whatever is above a known parent is known as well.
    if (!parents.emplace(name).second) return;
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Zone> run() {
    if (next() != kFirstLine) return wrong("expected \"" + std::string(kFirstLine) + "\"");
    const std::vector<std::string> domain = split(next().value_or(""), ' ');
    if (domain.size() != 2 || domain[0] != "domain" || !valid_name(domain[1]))
      return wrong("expected \"domain NAME\"");
    zone_.domain = domain[1];
    for (;;) {
      const std::optional<std::string_view> line = next();
      if (!line) return wrong("the file ends here; expected \"end NUMBER\"");
      const std::vector<std::string> words = split(*line, ' ');
      if (words[0] == "end") {
        if (words.size() != 2 || words[1] != std::to_string(records_))
          return wrong("expected \"end " + std::to_string(records_) + "\"");
        if (!text_.empty()) return wrong("text follows the end");
        zone_.index();
        return std::move(zone_);
      }
      SP_CHECK_OK(record(words));
      ++records_;
    }
  }

 private:
  Status record(const std::vector<std::string>& words) {
    if (words.size() < 3 || !valid_name(words[1])) return wrong("expected \"KIND NAME VALUE...\"");
    const std::string& name = words[1];
    if (words[0] == "address") {
      std::vector<Ip>& ips = zone_.addresses[name];
      if (!ips.empty()) return wrong("the name " + name + " has a second \"address\" line");
      for (size_t i = 2; i < words.size(); ++i) {
        auto ip = Ip::parse(words[i]);
        if (!ip) return wrong(ip.error().message);
        ips.push_back(*ip);
      }
      return {};
    }
    if (words[0] == "service" && words.size() == 4) {
      const auto port = parse_number<uint16_t>(words[2]);
      if (!port || *port == 0) return wrong("\"" + words[2] + "\" is no port");
      if (!valid_name(words[3])) return wrong("\"" + words[3] + "\" is no name");
      zone_.services[name].push_back({*port, words[3]});
      return {};
    }
    if (words[0] == "pointer" && words.size() == 3) {
      if (!valid_name(words[2])) return wrong("\"" + words[2] + "\" is no name");
      if (!zone_.pointers.emplace(name, words[2]).second)
        return wrong("the name " + name + " has a second \"pointer\" line");
      return {};
    }
    return wrong(
        "expected \"address NAME IP...\", \"service NAME PORT TARGET\" or \"pointer NAME "
        "TARGET\"");
  }

  // The next line, which must have its newline: nothing at the end of the text.
  std::optional<std::string_view> next() {
    ++line_;
    const size_t end = text_.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view line = text_.substr(0, end);
    text_.remove_prefix(end + 1);
    return line;
  }

  [[nodiscard]] std::unexpected<Error> wrong(const std::string& what) const {
    return fail(Code::kInvalid, "line " + std::to_string(line_) + ": " + what);
  }

  std::string_view text_;
  Zone zone_;
  int line_ = 0;
  size_t records_ = 0;
};

}  // namespace

void Zone::index() {
  parents.clear();
  for (const auto& [name, ips] : addresses) add_parents(name, parents);
  for (const auto& [name, records] : services) add_parents(name, parents);
  for (const auto& [name, target] : pointers) add_parents(name, parents);
}

bool valid_name(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  size_t label = 0;
  for (const char c : name) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
    } else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_') {
      if (++label > 63) return false;
    } else {
      return false;
    }
  }
  return label != 0;
}

std::string reverse_name(const Ip& ip) {
  std::string name;
  if (ip.family() == Family::kV4) {
    for (size_t i = 16; i-- > 12;) name += std::to_string(ip.bytes[i]) + ".";
    return name + "in-addr.arpa";
  }
  constexpr char kHex[] = "0123456789abcdef";
  for (size_t i = 16; i-- > 0;) {
    name += kHex[ip.bytes[i] & 0xf];
    name += '.';
    name += kHex[ip.bytes[i] >> 4];
    name += '.';
  }
  return name + "ip6.arpa";
}

Result<Zone> parse_zone(std::string_view text) {
  return Parser(text).run();
}

std::string write_zone(const Zone& zone) {
  std::string text = std::string(kFirstLine) + "\ndomain " + zone.domain + "\n";
  size_t records = 0;
  for (const auto& [name, ips] : zone.addresses) {
    if (ips.empty()) continue;
    text += "address " + name;
    for (const Ip& ip : ips) text += " " + ip.to_string();
    text += "\n";
    ++records;
  }
  for (const auto& [name, list] : zone.services) {
    for (const ServiceRecord& record : list) {
      text += "service " + name + " " + std::to_string(record.port) + " " + record.target + "\n";
      ++records;
    }
  }
  for (const auto& [name, target] : zone.pointers) {
    text += "pointer " + name + " " + target + "\n";
    ++records;
  }
  return text + "end " + std::to_string(records) + "\n";
}

}  // namespace sallyport::dns
