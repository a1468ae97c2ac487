#include "gate/events.h"

#include <ctime>

#include "gate/tables.h"

namespace sallyport::gate {

namespace {

constexpr uint8_t kIcmp = 1;
constexpr uint8_t kIcmp6 = 58;

TlsState tls_state_of(uint32_t flags) {
  if ((flags & SP_TLS_PLAINTEXT) != 0) return TlsState::kPlaintext;
  if ((flags & SP_TLS_ANSWERED) != 0) return TlsState::kTls;
  return (flags & SP_TLS_HELLO) != 0 ? TlsState::kClientHello : TlsState::kUnknown;
}

int64_t nanos(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

FlowEvent to_flow_event(const sp_event& event, const TlsNames& names) {
  FlowEvent flow;
  flow.kind = static_cast<FlowEvent::Kind>(event.kind);
  flow.time_ns = event.time;
  flow.source = from_kernel(event.source);
  flow.destination = from_kernel(event.destination);
  flow.source_port = event.source_port;
  flow.destination_port = event.destination_port;
  flow.protocol = event.protocol;
  flow.local = event.local != 0;
  flow.allow = event.reason != 0 && event.reason < SP_DENY_POLICY;
  flow.reason = event.reason;
  flow.source_endpoint = event.source_endpoint;
  flow.destination_endpoint = event.destination_endpoint;
  flow.egress_rule = event.egress_rule;
  flow.ingress_rule = event.ingress_rule;
  flow.generation = event.generation;
  for (int i = 0; i < 2; ++i) {
    flow.packets[i] = event.packets[i];
    flow.bytes[i] = event.bytes[i];
  }
  flow.repeats = event.repeats;
  flow.ifindex = static_cast<int>(event.ifindex);
  flow.tls = static_cast<TlsState>(event.tls);
  if (event.tls_policy != 0) flow.tls_policy = names.name_of(event.tls_policy);
  return flow;
}

Connection to_connection(const sp_key& key, const sp_connection& value, const TlsNames& names) {
  const int initiator = (value.flags & SP_INITIATOR_IS_1) != 0 ? 1 : 0;
  Connection row;
  FlowEvent& flow = row.flow;
  flow.kind = FlowEvent::Kind::kNew;
  flow.time_ns = value.first_seen;
  flow.source = from_kernel(key.address[initiator]);
  flow.destination = from_kernel(key.address[1 - initiator]);
  flow.source_port = key.port[initiator];
  flow.destination_port = key.port[1 - initiator];
  flow.protocol = key.protocol;
  if (key.protocol == kIcmp || key.protocol == kIcmp6) {
    if (flow.destination_port == 0xffff) {  // a one-way message: type and code
      flow.destination_port = flow.source_port;
      flow.source_port = 0;
    } else {
      flow.destination_port = static_cast<uint16_t>((key.protocol == kIcmp ? 8 : 128) << 8);
    }
  }
  flow.local = key.local != 0;
  flow.allow = (value.judged & 1) != 0;
  flow.reason = static_cast<uint8_t>(value.reason);
  flow.source_endpoint = value.endpoint[0];
  flow.destination_endpoint = value.endpoint[1];
  flow.egress_rule = value.egress_rule;
  flow.ingress_rule = value.ingress_rule;
  flow.generation = value.judged >> 1;
  for (int i = 0; i < 2; ++i) {
    flow.packets[i] = value.packets[i];
    flow.bytes[i] = value.bytes[i];
  }
  flow.ifindex = static_cast<int>(value.ifindex[0]);
  flow.tls = tls_state_of(value.flags);
  if (value.tls_policy != 0) flow.tls_policy = names.name_of(value.tls_policy);
  row.last_seen_ns = value.last_seen;
  return row;
}

int64_t wall_nanos(uint64_t monotonic_ns) {
  return nanos(CLOCK_REALTIME) - nanos(CLOCK_MONOTONIC) + static_cast<int64_t>(monotonic_ns);
}

}  // namespace sallyport::gate
