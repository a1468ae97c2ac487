#include "gate/bpf/types.h"
#include "gate/gate.h"

namespace sallyport::gate {

std::string_view reason_text(uint8_t reason) {
  switch (reason) {
    case SP_BY_POLICY:
    case SP_DENY_POLICY:
      return "policy";
    case SP_SELF:
      return "self";
    case SP_NODE:
      return "node";
    case SP_NOT_POD:
      return "no pod";
    case SP_NEIGHBOUR:
    case SP_DENY_NEIGHBOUR:
      return "neighbour discovery";
    case SP_RELATED:
      return "related to a connection";
    case SP_DENY_SPOOFED:
      return "spoofed source";
    case SP_DENY_UNKNOWN_POD:
      return "unknown pod address";
    case SP_DENY_NO_CONNECTION:
      return "no connection";
    case SP_DENY_MALFORMED:
      return "malformed packet";
    case SP_DENY_FRAGMENT:
      return "fragment";
    case SP_DENY_TABLE_FULL:
      return "connection table full";
    case SP_DENY_QUOTA:
      return "connection quota of the endpoint used up";
    case SP_DENY_NOT_OFFERED:
      return "not offered by the node";
    case SP_DENY_NO_SERVICE:
      return "Service without endpoint";
    case SP_DENY_UNRELATED:
      return "ICMP error without a connection";
    case SP_DENY_NOT_PROGRAMMED:
      return "gate not programmed yet";
    case SP_DENY_MISROUTED:
      return "destination behind another interface";
    case SP_DENY_PLAINTEXT:
      return "plaintext where TLS is demanded";
    case SP_DENY_TLS_ORDER:
      return "no ClientHello first where TLS is demanded";
    case SP_DENY_SYN_UNSEEN:
      return "beginning not seen where TLS is demanded";
    case SP_DENY_SYN:
      return "SYN inside a connection";
    default:
      return "unknown reason";
  }
}

std::string_view tls_text(TlsState state) {
  switch (state) {
    case TlsState::kClientHello:
      return "client hello";
    case TlsState::kTls:
      return "tls";
    case TlsState::kPlaintext:
      return "plaintext";
    case TlsState::kUnknown:
      break;
  }
  return "unknown";
}

}  // namespace sallyport::gate
