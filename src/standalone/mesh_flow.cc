#include "standalone/mesh_flow.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "telemetry/mesh_metrics.h"

namespace sallyport::standalone {
namespace {

using codec::Value;

// TLS 1.3 (RFC 8446, appendix B.4).
std::string cipher_name(uint16_t number) {
  switch (number) {
    case 0x1301:
      return "TLS_AES_128_GCM_SHA256";
    case 0x1302:
      return "TLS_AES_256_GCM_SHA384";
    case 0x1303:
      return "TLS_CHACHA20_POLY1305_SHA256";
    default:
      break;
  }
  char text[8];
  std::snprintf(text, sizeof text, "0x%04x", number);
  return text;
}

std::string version_name(uint16_t number) {
  if (number == 0x0304) return "TLSv1.3";
  if (number == 0x0303) return "TLSv1.2";
  char text[8];
  std::snprintf(text, sizeof text, "0x%04x", number);
  return text;
}

std::string_view protocol_name(uint8_t protocol) {
  switch (protocol) {
    case 1:
      return "HTTP/1.1";
    case 2:
      return "HTTP/2";
    case 3:
      return "gRPC";
    default:
      return "TCP";
  }
}

template <size_t N>
std::string_view text_of(const char (&text)[N]) {
  return {text, ::strnlen(text, N)};
}

Ip ip_of(const uint8_t (&bytes)[16]) {
  Ip ip;
  std::copy(std::begin(bytes), std::end(bytes), ip.bytes.begin());
  return ip;
}

Value side(const Ip& ip, uint16_t port, const std::string& ns, const std::string& pod) {
  Value out = Value::map();
  out.set("address", ip.to_string());
  out.set("port", Value::integer(port));
  if (!pod.empty()) {
    out.set("namespace", ns);
    out.set("pod", pod);
  }
  return out;
}

Value count(uint64_t number) {
  return Value::integer(static_cast<int64_t>(std::min<uint64_t>(number, INT64_MAX)));
}

Value rule_value(const telemetry::FlowRecord& record) {
  Value out = Value::map();
  std::string_view policy = text_of(record.policy);
  out.set("verdict", record.allow ? "allow" : "deny");
  out.set("policy", policy.empty() ? Value() : Value::string(policy));
  out.set("rule", record.rule < 0 ? Value() : Value::integer(record.rule));
  out.set("reason", text_of(record.reason));
  return out;
}

}  // namespace

WallTime MeshFlow::time() const {
  // A clock that is far off would hide the record, or everything else.
  auto since =
      std::chrono::nanoseconds(static_cast<int64_t>(std::min<uint64_t>(record.time_ns, INT64_MAX)));
  return WallTime(std::chrono::duration_cast<WallTime::duration>(since));
}

std::string_view MeshFlow::kind() const {
  switch (record.kind) {
    case telemetry::FlowKind::kRequest:
      return "request";
    case telemetry::FlowKind::kConnection:
      return "connection";
    case telemetry::FlowKind::kRefused:
      return "refused";
    case telemetry::FlowKind::kClosed:
      return "closed";
  }
  return "unknown";
}

Value MeshFlow::to_value(std::string_view schema) const {
  Value out = Value::map();
  out.set("schema", schema);
  out.set("time", rfc3339(time(), true));
  out.set("kind", kind());
  out.set("verdict", record.allow ? "allowed" : "denied");
  out.set("reason", text_of(record.reason));
  out.set("protocol", protocol_name(record.protocol));
  out.set("source", side(ip_of(record.source_ip), record.source_port, source_ns, source_pod));
  out.set("destination", side(ip_of(record.destination_ip), record.destination_port, destination_ns,
                              destination_pod));
  // Gate 1 was asked by the source's proxy: its rule stands where gate 1's own events have theirs.
  if (record.network_denied) out.set("network", rule_value(record));

  Value& mesh = out.set("mesh", Value::map());
  mesh.set("reporter", record.inbound ? "destination" : "source");
  if (!record.network_denied) {
    Value rule = rule_value(record);
    for (auto& member : rule.members()) mesh.set(member.key, std::move(member.value));
  }
  if (record.audited) mesh.set("audited", Value::boolean(true));
  if (auto peer = text_of(record.peer); !peer.empty()) mesh.set("peer", peer);
  if (record.tls_version) {
    Value& tls = mesh.set("tls", Value::map());
    tls.set("version", version_name(record.tls_version));
    tls.set("cipher", cipher_name(record.cipher));
    tls.set("group", telemetry::group_name(record.group));
  } else {
    mesh.set("tls", Value());
  }
  if (auto method = text_of(record.method); !method.empty()) {
    mesh.set("method", method);
    mesh.set("path", text_of(record.path));
    mesh.set("host", text_of(record.host));
  }
  if (record.status) mesh.set("status", Value::integer(record.status));
  if (record.duration_ns) mesh.set("durationMicros", count(record.duration_ns / 1000));
  out.set("generation", count(record.generation));
  if (record.bytes_received || record.bytes_sent) {
    Value& bytes = out.set("bytes", Value::map());
    bytes.set("sent", count(record.bytes_sent));
    bytes.set("received", count(record.bytes_received));
  }
  return out;
}

MeshFlow mesh_flow(const telemetry::FlowRecord& record, const world::World* world) {
  MeshFlow out;
  out.record = record;
  if (!world) return out;
  if (const world::Endpoint* pod = world->find_ip(ip_of(record.source_ip))) {
    out.source_ns = pod->ns;
    out.source_pod = pod->name;
  }
  if (const world::Endpoint* pod = world->find_ip(ip_of(record.destination_ip))) {
    out.destination_ns = pod->ns;
    out.destination_pod = pod->name;
  }
  return out;
}

}  // namespace sallyport::standalone
