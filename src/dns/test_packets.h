// Queries and a reader of answers for this module's tests, written apart from the code under test.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::dns::test {

using Packet = std::vector<uint8_t>;

inline void put16(Packet& packet, int value) {
  packet.push_back(static_cast<uint8_t>(value >> 8));
  packet.push_back(static_cast<uint8_t>(value));
}

inline Packet wire_name(std::string_view name) {
  Packet packet;
  while (!name.empty()) {
    const size_t dot = name.find('.');
    const std::string_view label = name.substr(0, dot);
    packet.push_back(static_cast<uint8_t>(label.size()));
    packet.insert(packet.end(), label.begin(), label.end());
    name = dot == std::string_view::npos ? "" : name.substr(dot + 1);
  }
  packet.push_back(0);
  return packet;
}

struct Ask {
  int id = 0x1234;
  int flags = 0x0100;  // RD
  int klass = 1;
  int edns_size = -1;  // none
  int edns_version = 0;
  bool dnssec_ok = false;
};

inline Packet query(std::string_view name, int type, Ask ask = {}) {
  Packet packet;
  put16(packet, ask.id);
  put16(packet, ask.flags);
  put16(packet, 1);
  put16(packet, 0);
  put16(packet, 0);
  put16(packet, ask.edns_size >= 0 ? 1 : 0);
  const Packet wire = wire_name(name);
  packet.insert(packet.end(), wire.begin(), wire.end());
  put16(packet, type);
  put16(packet, ask.klass);
  if (ask.edns_size >= 0) {
    packet.push_back(0);
    put16(packet, 41);
    put16(packet, ask.edns_size);
    packet.push_back(0);
    packet.push_back(static_cast<uint8_t>(ask.edns_version));
    put16(packet, ask.dnssec_ok ? 0x8000 : 0);
    put16(packet, 0);
  }
  return packet;
}

struct Record {
  std::string name;
  int type = 0;
  int klass = 0;
  uint32_t ttl = 0;
  Packet data;
  size_t data_offset = 0;
};

// Follows pointers backwards only; `valid` is false where anything is out of place.
struct Answer {
  bool valid = true;
  int id = 0, flags = 0;
  std::string question;
  int type = 0, klass = 0;
  std::vector<Record> answers, authority, additional;

  [[nodiscard]] int rcode() const { return flags & 0xf; }
  [[nodiscard]] bool authoritative() const { return (flags & 0x0400) != 0; }
  [[nodiscard]] bool truncated() const { return (flags & 0x0200) != 0; }

  explicit Answer(Packet bytes) : packet(std::move(bytes)) {
    id = next16();
    flags = next16();
    const int questions = next16();
    const int counts[3] = {next16(), next16(), next16()};
    for (int i = 0; i < questions && valid; ++i) {
      question = name();
      type = next16();
      klass = next16();
    }
    std::vector<Record>* sections[3] = {&answers, &authority, &additional};
    for (int s = 0; s < 3; ++s) {
      for (int i = 0; i < counts[s] && valid; ++i) sections[s]->push_back(record());
    }
    if (at != packet.size()) valid = false;
  }

  [[nodiscard]] std::string name_at(size_t position) {
    at = position;
    return name();
  }

  Packet packet;

 private:
  size_t at = 0;

  int next8() {
    if (at >= packet.size()) {
      valid = false;
      return 0;
    }
    return packet[at++];
  }
  int next16() {
    const int high = next8();
    return high << 8 | next8();
  }
  std::string name() {
    std::string text;
    size_t back = 0;
    size_t limit = at;
    while (valid) {
      const int length = next8();
      if (length == 0) break;
      if (length >= 0xc0) {
        const size_t target =
            static_cast<size_t>(length & 0x3f) << 8 | static_cast<size_t>(next8());
        if (back == 0) back = at;
        if (target >= limit) valid = false;
        limit = target;
        at = target;
        continue;
      }
      if (length > 63) valid = false;
      if (!text.empty()) text += '.';
      for (int i = 0; i < length && valid; ++i) text += static_cast<char>(next8());
    }
    if (back != 0) at = back;
    return text;
  }
  Record record() {
    Record result;
    result.name = name();
    result.type = next16();
    result.klass = next16();
    const auto high = static_cast<uint32_t>(next16());
    result.ttl = high << 16 | static_cast<uint32_t>(next16());
    const int length = next16();
    result.data_offset = at;
    for (int i = 0; i < length && valid; ++i) result.data.push_back(static_cast<uint8_t>(next8()));
    return result;
  }
};

}  // namespace sallyport::dns::test
