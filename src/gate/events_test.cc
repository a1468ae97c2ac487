#include "gate/events.h"

#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gate/compiled_builder.h"
#include "gate/tables.h"

namespace sallyport::gate {

namespace {

TEST(Events, EveryFieldArrives) {
  TlsNames names;
  sp_event e{};
  e.source = to_kernel(ip("198.18.0.1"));
  e.destination = to_kernel(ip("fd00::2"));
  e.time = 5;
  e.generation = 6;
  e.packets[0] = 7;
  e.packets[1] = 8;
  e.bytes[0] = 9;
  e.bytes[1] = 10;
  e.source_port = 11;
  e.destination_port = 12;
  e.kind = SP_CLOSED;
  e.reason = SP_BY_POLICY;
  e.protocol = 17;
  e.local = 1;
  e.source_endpoint = 13;
  e.destination_endpoint = 14;
  e.egress_rule = 15;
  e.ingress_rule = 16;
  e.repeats = 17;
  e.ifindex = 18;
  e.tls = SP_TLS_IS_HELLO;
  e.tls_policy = names.id_of("inference/default");
  const FlowEvent flow = to_flow_event(e, names);
  EXPECT_EQ(flow.kind, FlowEvent::Kind::kClosed);
  EXPECT_EQ(flow.source, ip("198.18.0.1"));
  EXPECT_EQ(flow.destination, ip("fd00::2"));
  EXPECT_EQ(flow.time_ns, 5u);
  EXPECT_EQ(flow.generation, 6u);
  EXPECT_EQ(flow.packets[0], 7u);
  EXPECT_EQ(flow.packets[1], 8u);
  EXPECT_EQ(flow.bytes[0], 9u);
  EXPECT_EQ(flow.bytes[1], 10u);
  EXPECT_EQ(flow.source_port, 11);
  EXPECT_EQ(flow.destination_port, 12);
  EXPECT_TRUE(flow.local);
  EXPECT_TRUE(flow.allow);
  EXPECT_EQ(flow.protocol, 17);
  EXPECT_EQ(flow.source_endpoint, 13u);
  EXPECT_EQ(flow.destination_endpoint, 14u);
  EXPECT_EQ(flow.egress_rule, 15u);
  EXPECT_EQ(flow.ingress_rule, 16u);
  EXPECT_EQ(flow.repeats, 17u);
  EXPECT_EQ(flow.ifindex, 18);
  EXPECT_EQ(flow.tls, TlsState::kClientHello);
  EXPECT_EQ(flow.tls_policy, "inference/default");
  e.reason = SP_DENY_POLICY;
  EXPECT_FALSE(to_flow_event(e, names).allow);
}

TEST(Events, ARowIsSeenFromItsInitiator) {
  TlsNames names;
  sp_key key{};
  key.address[0] = to_kernel(ip("198.18.0.1"));
  key.address[1] = to_kernel(ip("198.18.0.2"));
  key.port[0] = 80;
  key.port[1] = 4000;
  key.protocol = 6;
  sp_connection value{};
  value.flags = SP_INITIATOR_IS_1;
  value.judged = 9 << 1 | 1;
  const auto row = to_connection(key, value, names);
  EXPECT_EQ(row.flow.source, ip("198.18.0.2"));
  EXPECT_EQ(row.flow.source_port, 4000);
  EXPECT_EQ(row.flow.destination_port, 80);
  EXPECT_EQ(row.flow.generation, 9u);
  EXPECT_TRUE(row.flow.allow);
  EXPECT_EQ(row.flow.tls, TlsState::kUnknown);
  EXPECT_EQ(row.flow.tls_policy, "");
  value.tls_policy = names.id_of("a/b");
  for (const auto& [flags, state] : std::vector<std::pair<uint32_t, TlsState>>{
           {SP_TLS_HELLO, TlsState::kClientHello},
           {SP_TLS_HELLO | SP_TLS_ANSWERED, TlsState::kTls},
           {SP_TLS_HELLO | SP_TLS_ANSWERED | SP_TLS_PLAINTEXT, TlsState::kPlaintext}}) {
    value.flags = flags;
    EXPECT_EQ(to_connection(key, value, names).flow.tls, state) << tls_text(state);
    EXPECT_EQ(to_connection(key, value, names).flow.tls_policy, "a/b");
  }
  value.judged = 9 << 1;
  EXPECT_FALSE(to_connection(key, value, names).flow.allow);
}

TEST(Events, IcmpShowsIdTypeAndCode) {
  TlsNames names;
  sp_key key{};
  key.protocol = 58;
  key.port[0] = 77;
  auto row = to_connection(key, sp_connection{}, names);
  EXPECT_EQ(row.flow.source_port, 77);
  EXPECT_EQ(row.flow.destination_port, 128 << 8);
  key.protocol = 1;
  key.port[0] = 9 << 8 | 3;
  key.port[1] = 0xffff;
  row = to_connection(key, sp_connection{}, names);
  EXPECT_EQ(row.flow.source_port, 0);
  EXPECT_EQ(row.flow.destination_port, 9 << 8 | 3);
}

TEST(Events, MonotonicTimeBecomesWallTime) {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const auto wall = wall_nanos(static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 +
                               static_cast<uint64_t>(now.tv_nsec));
  const auto expected = std::chrono::duration_cast<std::chrono::nanoseconds>(
                            std::chrono::system_clock::now().time_since_epoch())
                            .count();
  EXPECT_NEAR(static_cast<double>(wall), static_cast<double>(expected), 1e9);
}

TEST(Events, EveryReasonHasItsWords) {
  std::set<std::string_view> denials;
  for (uint8_t reason = 1; reason < SP_REASONS; ++reason) {
    const bool used = reason <= SP_RELATED || (reason >= SP_DENY_POLICY && reason <= SP_DENY_SYN);
    EXPECT_EQ(reason_text(reason) != "unknown reason", used) << int{reason};
    if (used && reason >= SP_DENY_POLICY) denials.insert(reason_text(reason));
  }
  EXPECT_EQ(denials.size(), static_cast<size_t>(SP_DENY_SYN - SP_DENY_POLICY + 1));
  EXPECT_EQ(reason_text(0), "unknown reason");
}

}  // namespace

}  // namespace sallyport::gate
