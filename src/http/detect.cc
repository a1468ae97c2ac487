#include "http/detect.h"

#include <algorithm>

#include "http/syntax.h"

namespace sallyport::http {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr size_t kMethodMost = 20;

// Whether `text` starts with `word`, or is the beginning of it.
FirstBytes starts(std::string_view text, std::string_view word, FirstBytes found) {
  const size_t count = std::min(text.size(), word.size());
  if (!equal_fold(text.substr(0, count), word.substr(0, count))) return FirstBytes::kOther;
  return count == word.size() ? found : FirstBytes::kNeedMore;
}

FirstBytes detect_http1(std::string_view text) {
  if (text.starts_with("\r\n")) text.remove_prefix(2);
  if (text.empty() || text == "\r") return FirstBytes::kNeedMore;
  size_t at = 0;
  while (at < text.size() && at <= kMethodMost &&
         ((text[at] >= 'A' && text[at] <= 'Z') || text[at] == '-' || text[at] == '_'))
    ++at;
  if (at > kMethodMost) return FirstBytes::kOther;
  if (at == text.size()) return FirstBytes::kNeedMore;
  if (at < 3 || text[at] != ' ') return FirstBytes::kOther;
  if (text.substr(0, at) == "CONNECT") return FirstBytes::kHttp1;
  const std::string_view target = text.substr(at + 1);
  if (target.empty()) return FirstBytes::kNeedMore;
  if (target.front() == '/') return FirstBytes::kHttp1;
  if (target.front() == '*') return starts(target, "* HTTP/", FirstBytes::kHttp1);
  const FirstBytes plain = starts(target, "http://", FirstBytes::kHttp1);
  return plain == FirstBytes::kOther ? starts(target, "https://", FirstBytes::kHttp1) : plain;
}

FirstBytes detect_tls(Bytes bytes) {
  // A handshake record (22) of version 3.x with a ClientHello (1) as its first message.
  if (bytes[0] != 22) return FirstBytes::kOther;
  if (bytes.size() >= 2 && bytes[1] != 3) return FirstBytes::kOther;
  if (bytes.size() < 6) return FirstBytes::kNeedMore;
  return bytes[5] == 1 ? FirstBytes::kTls : FirstBytes::kOther;
}

}  // namespace

FirstBytes detect(Bytes bytes) {
  if (bytes.empty()) return FirstBytes::kNeedMore;
  if (bytes[0] == 22) return detect_tls(bytes);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const size_t count = std::min(text.size(), kPreface.size());
  if (text.substr(0, count) == kPreface.substr(0, count) && (count > 3 || text.size() <= 3))
    return count == kPreface.size() ? FirstBytes::kHttp2 : FirstBytes::kNeedMore;
  return detect_http1(text);
}

bool ClientHello::offers_prefix(std::string_view prefix) const {
  return std::ranges::any_of(alpn, [&](std::string_view name) { return name.starts_with(prefix); });
}

}  // namespace sallyport::http
