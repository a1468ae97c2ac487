// Requests and responses in one vocabulary for HTTP/1 and HTTP/2, so that whoever forwards them
// need not know which protocol either side speaks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/headers.h"

namespace sallyport::http {

enum class Version : uint8_t { kHttp10, kHttp11, kHttp2 };

enum class Body : uint8_t {
  kNone,    // the head is the whole message
  kLength,  // content_length bytes
  kStream,  // until the end is signalled: chunked, until close, or HTTP/2 without a length
  kTunnel,  // an upgrade: bytes both ways once it is accepted with 101
};

// What a codec leaves out of `headers` and keeps in fields of its own: Host and pseudo-headers,
// Content-Length, Transfer-Encoding, Connection with all fields it names, Keep-Alive,
// Proxy-Connection, Upgrade, and TE other than `trailers`. It writes them again as its protocol
// needs, whatever `headers` says. Everything else is end to end and kept as it came.
struct RequestHead {
  Version version = Version::kHttp11;
  Body body = Body::kNone;
  bool expect_continue = false;  // the client waits for 100 before it sends its body
  uint64_t content_length = 0;   // for kLength
  std::string method;            // GET for an extended CONNECT (RFC 8441): `upgrade` tells
  std::string scheme;            // "http" or "https", lower case
  std::string authority;         // host[:port] as sent; empty only from HTTP/1.0 without Host
  std::string target;            // origin-form with its query, or "*"
  std::string upgrade;           // "websocket" and the like, lower case; for kTunnel
  HeaderList headers;

  void clear();
};

// A 101 answers an upgrade in both protocols (HTTP/2 has 200 on the wire).
struct ResponseHead {
  Version version = Version::kHttp11;
  Body body = Body::kNone;
  bool has_length = false;  // content_length was given: kLength, or an answer to HEAD, or 304
  uint16_t status = 0;
  uint64_t content_length = 0;
  HeaderList headers;

  void clear();
};

// Why a stream ended before its time.
enum class ResetReason : uint8_t {
  kPeerReset,   // RST_STREAM; h2_code says which
  kPeerClosed,  // the connection ended
  kRefused,     // certainly not processed: REFUSED_STREAM, or a stream above a GOAWAY's last
  kMalformed,   // the peer broke the protocol
  kLimit,       // the peer crossed a limit
  kTimeout,     // a timer of the codec
};
std::string_view to_string(ResetReason reason);

struct Reset {
  ResetReason reason = ResetReason::kPeerClosed;
  uint32_t h2_code = 0;  // RFC 9113 section 7
  // Responses: no byte of one came, so a request that is idempotent may be sent again.
  bool before_response = false;
};

std::string_view reason_phrase(uint16_t status);  // "Not Found"; "Unknown" for unknown ones

}  // namespace sallyport::http
