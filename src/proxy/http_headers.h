// What a proxy changes in a request's headers.
#pragma once

#include <string>
#include <string_view>

#include "http/buffer.h"
#include "http/message.h"
#include "proxy/route.h"

namespace sallyport::proxy {

// Takes out what only a proxy may say: x-forwarded-client-cert and all of x-envoy-*.
void strip_claims(http::HeaderList& headers);

// The value of x-forwarded-client-cert for a verified caller, as Istio's sidecars write it. Nothing
// in it comes from a certificate's free text: an SPIFFE ID has no quote, comma or semicolon.
std::string client_cert_header(std::string_view own_spiffe, std::string_view peer_sha256,
                               std::string_view peer_spiffe);

// Makes x-request-id where there is none: a random UUID (RFC 9562 version 4).
void ensure_request_id(http::HeaderList& headers, Random& random);

// application/grpc, with or without "+proto" and the like; not grpc-web.
bool is_grpc(const http::HeaderList& headers);

// The number in grpc-status; -1: none.
int grpc_status(const http::HeaderList& headers);

// Counts gRPC messages in a body: five bytes of prefix, then as many bytes as they say.
class GrpcMessages {
 public:
  void take(http::Bytes bytes);
  [[nodiscard]] uint64_t count() const { return count_; }

 private:
  uint64_t count_ = 0;
  uint32_t left_ = 0, length_ = 0;
  uint8_t prefix_ = 0;
};

// May be sent twice without harm (RFC 9110 section 9.2.2).
bool is_idempotent(std::string_view method);

}  // namespace sallyport::proxy
