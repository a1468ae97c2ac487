// DNS packets: reading queries and writing answers, both bounded. Internal to this module.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/ip.h"

namespace sallyport::dns {

enum Type : uint16_t {
  kA = 1,
  kNs = 2,
  kSoa = 6,
  kPtr = 12,
  kAaaa = 28,
  kSrv = 33,
  kOpt = 41,
  kIxfr = 251,
  kAxfr = 252,
  kMailb = 253,
  kMaila = 254,
  kAny = 255,
};
inline constexpr uint16_t kClassIn = 1;

enum Rcode : uint8_t {
  kNoError = 0,
  kFormErr = 1,
  kNxDomain = 3,
  kNotImp = 4,
  kRefused = 5,
  kBadVers = 16,  // needs EDNS
};

struct Edns {
  uint16_t udp_size = 512;
  uint8_t version = 0;
  bool dnssec_ok = false;
};

struct Query {
  uint16_t id = 0;
  uint8_t opcode = 0;
  bool recursion_desired = false;
  std::vector<uint8_t> name_wire;  // as asked, letters in their case
  // Lower case, dots between labels, no final dot. Bytes other than a-z, 0-9, '-' and '_' appear as
  // \DDD: such a name never equals one of a zone, and dots are always label borders.
  std::string name;
  uint16_t type = 0;
  uint16_t klass = 0;
  std::optional<Edns> edns;
};

enum class Malformed {
  kIgnore,   // no header, or itself an answer: nothing is sent back
  kFormErr,  // id and flags are readable
};

// Only the header of `partial` is filled where the packet is malformed. A query of an opcode other
// than QUERY is not read beyond its header.
std::expected<Query, Malformed> parse_query(std::span<const uint8_t> packet, Query& partial);

// Builds one answer of at most `limit` bytes (12 or more). What would not fit is left out and said.
class Writer {
 public:
  // The header and, if `with_question`, the question as it was asked.
  Writer(const Query& query, size_t limit, bool with_question);

  enum class Section { kAnswer, kAuthority, kAdditional };
  // Each returns false where the record does not fit; then nothing of it was written.
  bool address(Section section, std::string_view name, uint32_t ttl, const Ip& ip);
  bool pointer(Section section, std::string_view name, uint32_t ttl, uint16_t type,
               std::string_view target);  // PTR or NS
  bool service(Section section, std::string_view name, uint32_t ttl, uint16_t port,
               std::string_view target);
  bool start_of_authority(Section section, std::string_view name, uint32_t ttl,
                          std::string_view server, std::string_view mailbox);

  void set_authoritative() { authoritative_ = true; }
  void set_truncated() { truncated_ = true; }
  std::vector<uint8_t> finish(uint8_t rcode);

 private:
  void byte(uint8_t value) { packet_.push_back(value); }
  void number16(uint16_t value);
  void number32(uint32_t value);
  void name(std::string_view text, bool compress = true);
  void remember(std::string_view suffix, size_t offset);
  void begin(std::string_view owner, uint16_t type, uint32_t ttl);
  bool end(Section section);

  const Query& query_;
  size_t limit_;
  bool authoritative_ = false;
  bool truncated_ = false;
  std::vector<uint8_t> packet_;
  std::unordered_map<std::string, uint16_t> offsets_;  // of names already written
  std::vector<std::string> fresh_;                     // those of the current record
  uint16_t counts_[3] = {};
  size_t record_start_ = 0;
  size_t data_start_ = 0;
};

}  // namespace sallyport::dns
