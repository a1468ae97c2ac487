#include "proxy/http_headers.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "http/buffer.h"

namespace sallyport::proxy {

void strip_claims(http::HeaderList& headers) {
  headers.remove_unless([](http::Field field) {
    return !field.name.starts_with("x-") ||
           (field.name != "x-forwarded-client-cert" && !field.name.starts_with("x-envoy-"));
  });
}

std::string client_cert_header(std::string_view own_spiffe, std::string_view peer_sha256,
                               std::string_view peer_spiffe) {
  std::string out = "By=";
  out.append(own_spiffe).append(";Hash=").append(peer_sha256);
  out.append(";Subject=\"\";URI=").append(peer_spiffe);
  return out;
}

void ensure_request_id(http::HeaderList& headers, Random& random) {
  if (headers.has("x-request-id")) return;
  std::array<char, 36> text;
  size_t digit = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      text[i] = '-';
      continue;
    }
    uint32_t value = random.below(16);
    if (digit == 12) value = 4;
    if (digit == 16) value = 8 | (value & 3);
    text[i] = "0123456789abcdef"[value];
    ++digit;
  }
  headers.add("x-request-id", {text.data(), text.size()});
}

bool is_grpc(const http::HeaderList& headers) {
  constexpr std::string_view kType = "application/grpc";
  const std::string_view type = headers.get("content-type");
  if (!type.starts_with(kType)) return false;
  return type.size() == kType.size() || type[kType.size()] == '+' || type[kType.size()] == ';';
}

int grpc_status(const http::HeaderList& headers) {
  const auto number = parse_number<uint16_t>(headers.get("grpc-status"));
  return number ? *number : -1;
}

void GrpcMessages::take(http::Bytes bytes) {
  size_t at = 0;
  while (at < bytes.size()) {
    if (left_ != 0) {
      const size_t part = std::min<size_t>(left_, bytes.size() - at);
      left_ -= static_cast<uint32_t>(part);
      at += part;
      continue;
    }
    if (prefix_ != 0) length_ = length_ << 8 | bytes[at];
    ++at;
    if (++prefix_ < 5) continue;
    ++count_;
    left_ = length_;
    length_ = 0;
    prefix_ = 0;
  }
}

bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "PUT" ||
         method == "DELETE" || method == "TRACE";
}

}  // namespace sallyport::proxy
