// What a connection's first bytes are.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "http/buffer.h"

namespace sallyport::http {

enum class FirstBytes : uint8_t {
  kNeedMore,  // a true prefix of one of the others
  kHttp1,     // a method, a space and the start of a target
  kHttp2,     // the whole client preface of RFC 9113
  kTls,       // a TLS record with a ClientHello
  kOther,
};
// Decides on at most 40 bytes; never kNeedMore beyond that. Only a whole and plausible start counts
// as HTTP/1 (upper-case method, target), because other text protocols have commands as well.
FirstBytes detect(Bytes bytes);

// A ClientHello's SNI and ALPN names: views into the parser's own copy.
struct ClientHello {
  std::string_view server_name;  // empty: none
  std::vector<std::string_view> alpn;

  [[nodiscard]] bool offers_prefix(std::string_view prefix) const;  // as "istio"
};

enum class HelloState : uint8_t { kNeedMore, kDone, kMalformed, kTooLong };

// Reassembles a ClientHello from the records at the start of a connection. It only looks: the bytes
// stay in the buffer for TLS itself or for the application. Feed it the whole buffer each time.
class ClientHelloParser {
 public:
  explicit ClientHelloParser(size_t limit) : limit_(limit) {}
  HelloState parse(Bytes from_start);
  [[nodiscard]] const ClientHello& hello() const { return hello_; }  // after kDone

 private:
  HelloState parse_body(Bytes body);
  bool parse_extensions(Bytes bytes);

  size_t limit_;
  size_t taken_ = 0;              // of the buffer: whole records that are in message_
  std::vector<uint8_t> message_;  // the handshake message without record headers
  ClientHello hello_;
};

}  // namespace sallyport::http
