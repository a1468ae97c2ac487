#include "dns/message.h"

#include <utility>

namespace sallyport::dns {
namespace {

constexpr size_t kHeader = 12;
constexpr size_t kMaxName = 255;  // on the wire, with the root's byte
constexpr size_t kOptRecord = 11;
constexpr uint16_t kServerUdpSize = 1232;

class Reader {
 public:
  Reader(std::span<const uint8_t> packet, size_t position) : packet_(packet), at_(position) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return at_ == packet_.size(); }

  uint8_t byte() {
    if (!need(1)) return 0;
    return packet_[at_++];
  }
  uint16_t number16() {
    const uint16_t high = byte();
    return static_cast<uint16_t>(high << 8 | byte());
  }
  void skip(size_t count) {
    if (need(count)) at_ += count;
  }
  std::span<const uint8_t> bytes(size_t count) {
    if (!need(count)) return {};
    at_ += count;
    return packet_.subspan(at_ - count, count);
  }
  // Over a name of a record that is of no interest: pointers are not followed.
  void skip_name() {
    for (size_t length = 0; ok_ && length <= kMaxName;) {
      const uint8_t label = byte();
      if (label == 0) return;
      if ((label & 0xc0) == 0xc0) return skip(1);
      if ((label & 0xc0) != 0) break;
      skip(label);
      length += label + 1U;
    }
    ok_ = false;
  }
  // The question's name. Nothing stands before it that a pointer could mean, so there are none.
  void name(std::vector<uint8_t>& wire, std::string& text) {
    while (ok_) {
      const uint8_t length = byte();
      if (length > 63 || wire.size() + length + 1U > kMaxName) break;
      wire.push_back(length);
      if (length == 0) return;
      if (!text.empty()) text += '.';
      for (const uint8_t c : bytes(length)) {
        wire.push_back(c);
        append(text, c);
      }
    }
    ok_ = false;
  }

 private:
  static void append(std::string& text, uint8_t c) {
    if (c >= 'A' && c <= 'Z') c = static_cast<uint8_t>(c - 'A' + 'a');
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_') {
      text += static_cast<char>(c);
      return;
    }
    text += '\\';
    text += static_cast<char>('0' + c / 100);
    text += static_cast<char>('0' + c / 10 % 10);
    text += static_cast<char>('0' + c % 10);
  }
  bool need(size_t count) {
    if (packet_.size() - at_ < count) ok_ = false;
    return ok_;
  }

  std::span<const uint8_t> packet_;
  size_t at_;
  bool ok_ = true;
};

// One record after the question; OPT is taken, others are passed over.
bool read_record(Reader& reader, bool additional, Query& query) {
  Reader before = reader;
  const bool root = before.byte() == 0;
  reader.skip_name();
  const uint16_t type = reader.number16();
  const uint16_t klass = reader.number16();
  reader.byte();  // the extended rcode, of answers
  const uint8_t version = reader.byte();
  const uint16_t flags = reader.number16();
  reader.skip(reader.number16());
  if (!reader.ok()) return false;
  if (type != kOpt) return true;
  if (!additional || !root || query.edns) return false;
  query.edns = Edns{klass, version, (flags & 0x8000) != 0};
  return true;
}

}  // namespace

std::expected<Query, Malformed> parse_query(std::span<const uint8_t> packet, Query& partial) {
  if (packet.size() < kHeader) return std::unexpected(Malformed::kIgnore);
  Reader reader(packet, 0);
  partial.id = reader.number16();
  const uint16_t flags = reader.number16();
  if ((flags & 0x8000) != 0) return std::unexpected(Malformed::kIgnore);
  partial.opcode = flags >> 11 & 0xf;
  partial.recursion_desired = (flags & 0x0100) != 0;
  if (partial.opcode != 0) return partial;

  const uint16_t questions = reader.number16();
  const uint32_t others = reader.number16() + uint32_t{reader.number16()};
  const uint32_t additional = reader.number16();
  if (questions != 1) return std::unexpected(Malformed::kFormErr);
  Query query = partial;
  reader.name(query.name_wire, query.name);
  query.type = reader.number16();
  query.klass = reader.number16();
  // Each record takes at least 11 bytes, so that the counts cannot make this long.
  for (uint32_t i = 0; i < others + additional && reader.ok(); ++i) {
    if (!read_record(reader, i >= others, query)) return std::unexpected(Malformed::kFormErr);
  }
  if (!reader.ok() || !reader.at_end()) return std::unexpected(Malformed::kFormErr);
  return query;
}

Writer::Writer(const Query& query, size_t limit, bool with_question)
    : query_(query), limit_(limit - (query.edns ? kOptRecord : 0)) {
  packet_.resize(kHeader);
  if (!with_question) return;
  packet_[5] = 1;
  // The case of the asked name is kept (some clients check it), and all later names point here.
  std::string_view suffix = query.name;
  for (size_t at = 0; query.name_wire[at] != 0; at += query.name_wire[at] + 1U) {
    remember(suffix, kHeader + at);
    const size_t dot = suffix.find('.');
    suffix = dot == std::string_view::npos ? "" : suffix.substr(dot + 1);
  }
  packet_.insert(packet_.end(), query.name_wire.begin(), query.name_wire.end());
  number16(query.type);
  number16(query.klass);
  fresh_.clear();
}

void Writer::number16(uint16_t value) {
  byte(static_cast<uint8_t>(value >> 8));
  byte(static_cast<uint8_t>(value));
}

void Writer::number32(uint32_t value) {
  number16(static_cast<uint16_t>(value >> 16));
  number16(static_cast<uint16_t>(value));
}

void Writer::remember(std::string_view suffix, size_t offset) {
  if (offset >= 0x4000) return;  // out of a pointer's reach
  if (offsets_.try_emplace(std::string(suffix), static_cast<uint16_t>(offset)).second)
    fresh_.emplace_back(suffix);
}

void Writer::name(std::string_view text, bool compress) {
  while (!text.empty()) {
    if (compress) {
      auto known = offsets_.find(std::string(text));
      if (known != offsets_.end()) return number16(static_cast<uint16_t>(0xc000 | known->second));
    }
    remember(text, packet_.size());
    const size_t dot = text.find('.');
    const std::string_view label = text.substr(0, dot);
    byte(static_cast<uint8_t>(label.size()));
    packet_.insert(packet_.end(), label.begin(), label.end());
    text = dot == std::string_view::npos ? "" : text.substr(dot + 1);
  }
  byte(0);
}

void Writer::begin(std::string_view owner, uint16_t type, uint32_t ttl) {
  record_start_ = packet_.size();
  fresh_.clear();
  name(owner);
  number16(type);
  number16(kClassIn);
  number32(ttl);
  number16(0);  // the length, known later
  data_start_ = packet_.size();
}

bool Writer::end(Section section) {
  if (packet_.size() > limit_) {
    packet_.resize(record_start_);
    for (const std::string& suffix : fresh_) offsets_.erase(suffix);
    return false;
  }
  const size_t length = packet_.size() - data_start_;
  packet_[data_start_ - 2] = static_cast<uint8_t>(length >> 8);
  packet_[data_start_ - 1] = static_cast<uint8_t>(length);
  ++counts_[static_cast<int>(section)];
  return true;
}

bool Writer::address(Section section, std::string_view owner, uint32_t ttl, const Ip& ip) {
  const bool v4 = ip.family() == Family::kV4;
  begin(owner, v4 ? kA : kAaaa, ttl);
  packet_.insert(packet_.end(), ip.bytes.begin() + (v4 ? 12 : 0), ip.bytes.end());
  return end(section);
}

bool Writer::pointer(Section section, std::string_view owner, uint32_t ttl, uint16_t type,
                     std::string_view target) {
  begin(owner, type, ttl);
  name(target);
  return end(section);
}

bool Writer::service(Section section, std::string_view owner, uint32_t ttl, uint16_t port,
                     std::string_view target) {
  begin(owner, kSrv, ttl);
  number16(0);    // priority
  number16(100);  // weight: all are alike
  number16(port);
  name(target, false);  // RFC 2782: never compressed
  return end(section);
}

bool Writer::start_of_authority(Section section, std::string_view owner, uint32_t ttl,
                                std::string_view server, std::string_view mailbox) {
  begin(owner, kSoa, ttl);
  name(server);
  name(mailbox);
  number32(1);      // serial: there are no secondaries
  number32(7200);   // refresh
  number32(1800);   // retry
  number32(86400);  // expire
  number32(ttl);    // how long "there is none" may be kept
  return end(section);
}

std::vector<uint8_t> Writer::finish(uint8_t rcode) {
  if (query_.edns) {
    byte(0);
    number16(kOpt);
    number16(kServerUdpSize);
    byte(static_cast<uint8_t>(rcode >> 4));
    byte(0);  // version
    number16(query_.edns->dnssec_ok ? 0x8000 : 0);
    number16(0);
    ++counts_[static_cast<int>(Section::kAdditional)];
  }
  packet_[0] = static_cast<uint8_t>(query_.id >> 8);
  packet_[1] = static_cast<uint8_t>(query_.id);
  packet_[2] = static_cast<uint8_t>(0x80 | query_.opcode << 3 | (authoritative_ ? 0x04 : 0) |
                                    (truncated_ ? 0x02 : 0) | (query_.recursion_desired ? 1 : 0));
  packet_[3] = rcode & 0xf;
  for (size_t i = 0; i < 3; ++i) {
    packet_[6 + 2 * i] = static_cast<uint8_t>(counts_[i] >> 8);
    packet_[7 + 2 * i] = static_cast<uint8_t>(counts_[i]);
  }
  return std::move(packet_);
}

}  // namespace sallyport::dns
