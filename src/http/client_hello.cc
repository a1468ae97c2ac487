// RFC 8446 sections 4.1.2 and 5.1, RFC 6066 section 3, RFC 7301 section 3.1.
#include <algorithm>

#include "http/detect.h"

namespace sallyport::http {
namespace {

constexpr size_t kRecordHeader = 5, kMessageHeader = 4, kRecordMost = 16384;
constexpr uint16_t kServerName = 0, kAlpn = 16;
constexpr size_t kExtensionsMost = 128, kAlpnMost = 64;

// Takes numbers and vectors off the front; `ok` turns false where there is too little.
class Reader {
 public:
  explicit Reader(Bytes bytes) : rest_(bytes) {}
  uint32_t number(size_t bytes) {
    uint32_t value = 0;
    for (const uint8_t b : take(bytes)) value = value << 8 | b;
    return value;
  }
  Bytes take(size_t count) {
    if (count > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const Bytes head = rest_.first(count);
    rest_ = rest_.subspan(count);
    return head;
  }
  Bytes vector(size_t length_bytes) { return take(number(length_bytes)); }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool empty() const { return rest_.empty(); }

 private:
  Bytes rest_;
  bool ok_ = true;
};

std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A DNS name as it may stand in SNI: letters, digits, '-', '_' (Istio's) and dots.
bool is_server_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

}  // namespace

HelloState ClientHelloParser::parse(Bytes from_start) {
  for (;;) {
    if (message_.size() >= kMessageHeader) {
      if (message_[0] != 1) return HelloState::kMalformed;
      const size_t length = static_cast<size_t>(message_[1]) << 16 |
                            static_cast<size_t>(message_[2]) << 8 | message_[3];
      if (length + kMessageHeader > limit_) return HelloState::kTooLong;
      if (message_.size() >= length + kMessageHeader)
        return parse_body(Bytes(message_).subspan(kMessageHeader, length));
    }
    const Bytes rest = from_start.subspan(std::min(taken_, from_start.size()));
    if (rest.empty()) return HelloState::kNeedMore;
    // What is there of a record's header is checked at once: no waiting for what cannot become one.
    if (rest[0] != 22 || (rest.size() > 1 && rest[1] != 3)) return HelloState::kMalformed;
    if (rest.size() < kRecordHeader) return HelloState::kNeedMore;
    const size_t length = static_cast<size_t>(rest[3]) << 8 | rest[4];
    if (length == 0 || length > kRecordMost) return HelloState::kMalformed;
    // Record headers count: a hello in records of one byte each is no hello.
    if (taken_ + kRecordHeader + length > limit_ + 16 * kRecordHeader) return HelloState::kTooLong;
    if (rest.size() < kRecordHeader + length) return HelloState::kNeedMore;
    const Bytes body = rest.subspan(kRecordHeader, length);
    message_.insert(message_.end(), body.begin(), body.end());
    taken_ += kRecordHeader + length;
  }
}

HelloState ClientHelloParser::parse_body(Bytes body) {
  hello_ = {};
  Reader r(body);
  r.number(2);  // legacy_version
  r.take(32);   // random
  const Bytes session = r.vector(1);
  const Bytes suites = r.vector(2);
  const Bytes compression = r.vector(1);
  if (!r.ok() || session.size() > 32 || suites.empty() || suites.size() % 2 != 0 ||
      compression.empty())
    return HelloState::kMalformed;
  if (r.empty()) return HelloState::kDone;  // before TLS 1.2 extensions were optional
  const Bytes extensions = r.vector(2);
  if (!r.ok() || !r.empty() || !parse_extensions(extensions)) return HelloState::kMalformed;
  return HelloState::kDone;
}

bool ClientHelloParser::parse_extensions(Bytes bytes) {
  Reader r(bytes);
  bool seen_name = false, seen_alpn = false;
  for (size_t count = 0; !r.empty(); ++count) {
    if (count == kExtensionsMost) return false;
    const uint32_t type = r.number(2);
    Reader extension(r.vector(2));
    if (!r.ok()) return false;
    if (type == kServerName) {
      if (seen_name) return false;
      seen_name = true;
      Reader list(extension.vector(2));
      const uint32_t kind = list.number(1);
      const std::string_view name = text_of(list.vector(2));
      if (!extension.ok() || !extension.empty() || !list.ok() || !list.empty() || kind != 0 ||
          !is_server_name(name))
        return false;
      hello_.server_name = name;
    } else if (type == kAlpn) {
      if (seen_alpn) return false;
      seen_alpn = true;
      Reader list(extension.vector(2));
      if (!extension.ok() || !extension.empty() || list.empty()) return false;
      while (!list.empty()) {
        const std::string_view name = text_of(list.vector(1));
        if (!list.ok() || name.empty() || hello_.alpn.size() == kAlpnMost) return false;
        hello_.alpn.push_back(name);
      }
    }
  }
  return r.ok();
}

}  // namespace sallyport::http
