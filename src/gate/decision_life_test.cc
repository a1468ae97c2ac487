// Connections over time, through the twin: policy that changes, endings, expiry, accounts.
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "gate/decision_fixture.h"

namespace sallyport::gate {

namespace {

TEST_P(Decision, StaleConnectionsAreJudgedAgain) {
  establish(4000);
  twin.take_events();
  publish(policy);  // the same rules: goes on, no event
  EXPECT_TRUE(send(tcp(server, 8080, client, 4000, kAck), server, client).accept);
  EXPECT_TRUE(twin.take_events().empty());

  CompiledBuilder closed;
  const auto set = closed.deny_set(Direction::kIngress, 400);
  closed.endpoint(1, {client.v4, client.v6}, 0, 0);
  closed.endpoint(2, {server.v4, server.v6}, 0, set);
  publish(closed);
  // Revoked in both directions, told once; the entry stays, so that the stream can resume.
  EXPECT_FALSE(send(tcp(server, 8080, client, 4000, kAck), server, client).accept);
  EXPECT_FALSE(send(tcp(client, 4000, server, 8080, kAck), client, server).accept);
  auto events = twin.take_events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, FlowEvent::Kind::kRevoked);
  EXPECT_FALSE(events[0].allow);
  EXPECT_EQ(events[0].ingress_rule, 400u);
  EXPECT_EQ(events[0].source, client.address(six()));

  publish(policy);
  EXPECT_TRUE(send(tcp(client, 4000, server, 8080, kAck), client, server).accept);
  events = twin.take_events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, FlowEvent::Kind::kNew);
  EXPECT_TRUE(events[0].allow);
}

TEST_P(Decision, AnEntryDiesWithTheEndpointBehindItsAddress) {
  establish(4000);
  CompiledBuilder reused;  // another pod has the server's address now, and isolates nobody
  reused.endpoint(1, {client.v4, client.v6}, 0, 0);
  reused.endpoint(3, {server.v4, server.v6}, 0, 0);
  auto tables = build_tables(reused.get(), {{1, 11}, {3, 12}}, config);
  ASSERT_TRUE(tables);
  twin.publish(std::move(*tables));
  EXPECT_EQ(send(tcp(client, 4000, server, 8080, kAck), client, server).reason,
            SP_DENY_NO_CONNECTION);
  EXPECT_EQ(twin.connection_count(), 0u);
  EXPECT_EQ(twin.entries_of(1), 0u);
}

TEST_P(Decision, ForgettingAnEndpointEndsItsConnections) {
  establish(4000);
  ASSERT_TRUE(send(udp(client, 4000, stranger, 1), client, stranger).accept);
  twin.forget_endpoint(2);
  EXPECT_EQ(twin.connection_count(), 1u);
  EXPECT_EQ(twin.entries_of(1), 1u);
}

TEST_P(Decision, ASynAfterTheEndIsANewConnection) {
  establish(4000);
  EXPECT_TRUE(send(tcp(server, 8080, client, 4000, kRst), server, client).accept);
  twin.take_events();
  EXPECT_TRUE(send(tcp(client, 4000, server, 8080, kSyn), client, server).accept);
  const auto events = twin.take_events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].kind, FlowEvent::Kind::kClosed);
  EXPECT_EQ(events[1].kind, FlowEvent::Kind::kNew);
  EXPECT_EQ(twin.connection_count(), 1u);
}

TEST_P(Decision, ASynOfTheOtherSideNeedsItsOwnPermission) {
  CompiledBuilder builder;  // the server may not begin anything
  const auto in = builder.deny_set(Direction::kIngress, 1);
  builder.allow_all(in, 1, 2);
  const auto out = builder.deny_set(Direction::kEgress, 3);
  builder.endpoint(1, {client.v4, client.v6}, 0, 0);
  builder.endpoint(2, {server.v4, server.v6}, out, in);
  publish(builder);
  establish(4000);
  EXPECT_EQ(send(tcp(server, 8080, client, 4000, kSyn), server, client).reason, SP_DENY_POLICY);
  EXPECT_TRUE(send(tcp(client, 4000, server, 8080, kAck), client, server).accept);
}

TEST_P(Decision, ExpiryFollowsTheState) {
  struct Case {
    const char* what;
    std::function<void()> make;
    uint64_t lives, gone;  // seconds
  };
  const std::vector<Case> cases = {
      {"half-open TCP", [&] { (void)send(tcp(client, 4000, server, 8080, kSyn), client, server); },
       28, 45},
      {"established TCP", [&] { establish(4000); }, 86000, 86500},
      {"finished TCP",
       [&] {
         establish(4000);
         (void)send(tcp(client, 4000, server, 8080, kFin | kAck), client, server);
         (void)send(tcp(server, 8080, client, 4000, kFin | kAck), server, client);
       },
       8, 15},
      {"reset TCP",
       [&] {
         establish(4000);
         (void)send(tcp(server, 8080, client, 4000, kRst), server, client);
       },
       1, 5},
      {"half-closed TCP",
       [&] {
         establish(4000);
         (void)send(tcp(client, 4000, server, 8080, kFin | kAck), client, server);
       },
       590, 625},
      {"one-way UDP", [&] { (void)send(udp(client, 4000, server, 8080), client, server); }, 28, 45},
      {"answered UDP",
       [&] {
         (void)send(udp(client, 4000, server, 8080), client, server);
         (void)send(udp(server, 8080, client, 4000), server, client);
       },
       178, 195},
      {"ping",
       [&] {
         (void)send(echo_packet(client.address(six()), server.address(six()), true, 9), client,
                    server);
       },
       28, 45},
  };
  for (const auto& one : cases) {
    one.make();
    ASSERT_EQ(twin.connection_count(), 1u) << one.what;
    twin.advance(one.lives * kSecond);
    EXPECT_EQ(twin.connection_count(), 1u) << one.what;
    twin.advance((one.gone - one.lives) * kSecond);
    EXPECT_EQ(twin.connection_count(), 0u) << one.what;
    EXPECT_EQ(twin.entries_of(1), 0u) << one.what;
    const auto events = twin.take_events();
    ASSERT_FALSE(events.empty());
    EXPECT_EQ(events.back().kind, FlowEvent::Kind::kClosed) << one.what;
  }
}

TEST_P(Decision, TrafficKeepsAConnectionAndAForgedResetDoesNotEndIt) {
  establish(4000);
  (void)send(tcp(server, 8080, client, 4000, kRst), server, client);
  for (int i = 0; i < 200; ++i) {
    twin.advance(kSecond);
    ASSERT_TRUE(send(tcp(server, 8080, client, 4000, kAck), server, client).accept) << i;
  }
  twin.advance(1000 * kSecond);
  EXPECT_EQ(twin.connection_count(), 1u);
}

TEST_P(Decision, CountsGoToTheRulesInTime) {
  establish(4000);
  twin.advance(13 * kSecond);
  EXPECT_EQ(twin.rules().at(101).verdicts, 1u);
  EXPECT_EQ(twin.rules().at(101).packets, 3u);
  const size_t size = tcp(client, 1, server, 1, 0).size();
  EXPECT_EQ(twin.rules().at(101).bytes, 3 * size);
}

TEST_P(Decision, OneEndpointCannotStarveTheOthers) {
  Twin small(100, 80);
  auto tables = build_tables(policy.get(), {{1, 11}, {2, 12}, {3, 13}}, config);
  ASSERT_TRUE(tables);
  small.publish(std::move(*tables));
  const auto knock = [&](const Host& from, const Host& to, uint16_t port) {
    return small.decide(udp(from, port, to, 8080),
                        {from.ifindex, to.ifindex, family(), false, false});
  };
  int taken = 0;
  for (uint16_t port = 1; port <= 500; ++port) taken += knock(stranger, client, port).accept;
  EXPECT_EQ(taken, 50);  // no more than are free
  EXPECT_EQ(knock(stranger, client, 999).reason, SP_DENY_QUOTA);
  EXPECT_TRUE(knock(client, server, 1).accept);
  EXPECT_EQ(small.overflows(), 451u);
  EXPECT_EQ(small.entries_of(3), 50u);
  // What is there goes on, and the half-open goes sooner under pressure.
  EXPECT_TRUE(knock(stranger, client, 1).accept);

  Twin full(10, 10);
  tables = build_tables(policy.get(), {{1, 11}, {2, 12}, {3, 13}}, config);
  full.publish(std::move(*tables));
  std::vector<uint8_t> reasons;
  for (uint16_t port = 1; port <= 40; ++port) {
    const Host& from = port % 2 ? client : stranger;
    const Host& to = port % 2 ? server : client;
    const auto verdict =
        full.decide(udp(from, port, to, 8080), {from.ifindex, to.ifindex, family(), false, false});
    if (!verdict.accept) reasons.push_back(verdict.reason);
  }
  EXPECT_LE(full.connection_count(), 10u);
  EXPECT_FALSE(reasons.empty());
}

TEST_P(Decision, AFullTableIsNamed) {
  Twin tiny(0, 10);
  auto tables = build_tables(policy.get(), {{1, 11}, {2, 12}, {3, 13}}, config);
  ASSERT_TRUE(tables);
  tiny.publish(std::move(*tables));
  const auto verdict = tiny.decide(udp(client, 1, server, 8080),
                                   {client.ifindex, server.ifindex, family(), false, false});
  EXPECT_EQ(verdict.reason, SP_DENY_TABLE_FULL);
}

TEST_P(Decision, UnderPressureIdleEntriesGoSooner) {
  Twin small(100, 100);
  auto tables = build_tables(policy.get(), {{1, 11}, {2, 12}, {3, 13}}, config);
  ASSERT_TRUE(tables);
  small.publish(std::move(*tables));
  const auto knock = [&](const Host& from, const Host& to, uint16_t port) {
    return small.decide(tcp(from, port, to, 8080, kSyn),
                        {from.ifindex, to.ifindex, family(), false, false});
  };
  for (uint16_t port = 1; port <= 100; ++port) {
    (void)knock(stranger, client, port);
    (void)knock(client, server, port);
    (void)knock(server, client, static_cast<uint16_t>(port + 1000));
  }
  ASSERT_EQ(small.connection_count(), 75u);
  small.advance(12 * kSecond);  // less than the 30 s that half-open connections have else
  EXPECT_LE(small.connection_count(), 62u);
}

}  // namespace

}  // namespace sallyport::gate
