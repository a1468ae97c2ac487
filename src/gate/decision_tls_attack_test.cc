// An initiator with a TCP stack of its own, which wants its plaintext to reach the responder though
// TLS is demanded. The gate sees packets, not what the responder took.
#include <gtest/gtest.h>

#include <vector>

#include "gate/tls_fixture.h"

namespace sallyport::gate {

namespace {

class TlsAttack : public TlsDecision {};
INSTANTIATE_TEST_SUITE_P(Families, TlsAttack, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "IPv6" : "IPv4"; });

TEST_P(TlsAttack, AClientHelloThatTheResponderDidNotTake) {
  demand();
  const auto tcp = tcp_to();
  tcp.open();
  // With a wrong checksum, say: it passes here and is dropped there.
  EXPECT_TRUE(tcp.says(client_hello()).accept);
  EXPECT_EQ(state(), TlsState::kClientHello);
  EXPECT_EQ(tcp.says(bytes_of("GET")).reason, SP_DENY_TLS_ORDER);
  EXPECT_EQ(tcp.says(bytes_of("ET / "), 1).reason, SP_DENY_TLS_ORDER);
  EXPECT_EQ(tcp.says(kRequest).reason, SP_DENY_PLAINTEXT);
}

TEST_P(TlsAttack, ASynThatOnlyMovesTheFirstSequenceNumber) {
  demand();
  auto tcp = tcp_to();
  ASSERT_TRUE(tcp.syn().accept);  // this one the responder takes
  const auto real = tcp;
  tcp.isn -= 1000;
  ASSERT_TRUE(tcp.syn().accept);  // this one it does not
  EXPECT_TRUE(real.syn_ack().accept);
  EXPECT_FALSE(tcp.says(client_hello()).accept);
  EXPECT_FALSE(real.says(kRequest).accept);
  EXPECT_FALSE(real.says(client_hello()).accept);  // nobody confirmed where the stream begins
  EXPECT_NE(state(), TlsState::kClientHello);
  // Only what the responder confirms counts.
  EXPECT_TRUE(tcp.syn_ack().accept);
  EXPECT_TRUE(tcp.says(client_hello()).accept);
}

TEST_P(TlsAttack, TheSameWithPayloadInTheSyn) {
  demand();
  auto tcp = tcp_to();
  ASSERT_TRUE(tcp.syn().accept);
  const auto real = tcp;
  // Gets rid of the entry, not of the responder's connection.
  ASSERT_TRUE(tcp.client({kRst, tcp.first() + 12345, 0}).accept);
  tcp.isn -= 200;
  ASSERT_TRUE(tcp.syn(client_hello(200)).accept);
  ASSERT_EQ(state(), TlsState::kClientHello);
  EXPECT_TRUE(real.syn_ack().accept);  // looks as if the responder had taken the payload
  EXPECT_FALSE(real.says(kRequest).accept);
  EXPECT_FALSE(real.says(bytes_of("more"), 18).accept);
  EXPECT_NE(state(), TlsState::kTls);
}

TEST_P(TlsAttack, ANewConnectionInTheEntryOfAnOldOne) {
  demand();
  const auto old = tcp_to();
  old.open_tls();
  ASSERT_EQ(state(), TlsState::kTls);
  // The very same SYN: the responder would take it as a new connection, had it forgotten the old.
  EXPECT_EQ(old.syn().reason, SP_DENY_SYN);
  EXPECT_TRUE(old.says(bytes_of("more"), 200).accept);
  // Another one begins anew.
  auto fresh = old;
  fresh.isn += 77777;
  fresh.server_isn += 5;
  EXPECT_TRUE(fresh.syn().accept);
  EXPECT_EQ(state(), TlsState::kUnknown);
  EXPECT_TRUE(fresh.syn_ack().accept);
  EXPECT_EQ(fresh.says(kRequest).reason, SP_DENY_PLAINTEXT);
}

TEST_P(TlsAttack, AfterItsEndTheSameSynBeginsAnew) {
  demand();
  const auto tcp = tcp_to();
  tcp.open_tls();
  ASSERT_TRUE(tcp.says({}, 200, kRst | kAck).accept);
  EXPECT_TRUE(tcp.syn().accept);
  EXPECT_EQ(state(), TlsState::kUnknown);
  EXPECT_TRUE(tcp.syn_ack().accept);
  EXPECT_EQ(tcp.says(kRequest).reason, SP_DENY_PLAINTEXT);
}

TEST_P(TlsAttack, UrgentDataIsNoTls) {
  demand();
  uint16_t from_port = 1000;
  const auto fresh = [&] {
    const auto tcp = tcp_to(kPort, ++from_port);
    tcp.open();
    return tcp;
  };
  // With the data whose first byte it would take out of the stream, or before it.
  const auto with = fresh();
  EXPECT_EQ(
      with.client({kAck | kUrg, with.first(), with.server_first(), client_hello(), {}, 1}).reason,
      SP_DENY_PLAINTEXT);
  const auto before = fresh();
  EXPECT_EQ(before.client({kAck | kUrg, before.first(), before.server_first(), {}, {}, 1}).reason,
            SP_DENY_PLAINTEXT);
  EXPECT_FALSE(before.says(client_hello()).accept);
  const auto after = fresh();
  EXPECT_TRUE(after.says(client_hello()).accept);
  EXPECT_EQ(after.client({kAck | kUrg, after.first(), after.server_first(), {}, {}, 1}).reason,
            SP_DENY_PLAINTEXT);
  // Once the responder has answered, urgent data is the application's.
  const auto tls = tcp_to(kPort, 3000);
  tls.open_tls();
  EXPECT_TRUE(tls.client({kAck | kUrg, tls.first() + 200, tls.server_first(), bytes_of("x"), {}, 1})
                  .accept);
}

TEST_P(TlsAttack, SimultaneousOpenIsRefused) {
  demand();
  CompiledBuilder open;
  for (const auto* host : {&client, &server, &stranger})
    open.endpoint(host->id, {host->v4, host->v6}, 0, 0);
  policy = open;
  demand();
  const auto tcp = tcp_to();
  ASSERT_TRUE(tcp.syn().accept);
  EXPECT_EQ(tcp.server({kSyn, tcp.server_isn, 0}).reason, SP_DENY_SYN);
  EXPECT_EQ(twin.connections()[0].flow.source, client.address(six()));
  EXPECT_TRUE(tcp.syn_ack().accept);
  EXPECT_TRUE(tcp.says(client_hello()).accept);
}

TEST_P(TlsAttack, PreparedWhileNobodyDemandsIt) {
  demand_nothing();
  uint16_t from_port = 1000;
  // Each of these passes now; none of them may pass for TLS later.
  const auto few = tcp_to(kPort, ++from_port);
  few.open();
  ASSERT_TRUE(few.says(bytes_of("GET")).accept);
  ASSERT_TRUE(few.says(client_hello()).accept);

  const auto overwritten = tcp_to(kPort, ++from_port);
  overwritten.open();
  ASSERT_TRUE(overwritten.says(client_hello()).accept);
  ASSERT_TRUE(overwritten.says(kRequest).accept);

  auto moved = tcp_to(kPort, ++from_port);
  ASSERT_TRUE(moved.syn().accept);
  const auto real = moved;
  moved.isn -= 1000;
  ASSERT_TRUE(moved.syn().accept);
  ASSERT_TRUE(real.syn_ack().accept);
  ASSERT_TRUE(moved.says(client_hello()).accept);
  ASSERT_TRUE(real.says(kRequest).accept);

  const auto late = tcp_to(kPort, ++from_port);
  late.open();
  ASSERT_TRUE(late.says(bytes_of("later"), 100).accept);
  demand();
  EXPECT_FALSE(few.says(bytes_of("more"), 200).accept);
  EXPECT_FALSE(overwritten.says(bytes_of("more"), 200).accept);
  EXPECT_FALSE(real.says(bytes_of("more"), 18).accept);
  EXPECT_FALSE(late.says(kRequest).accept);
}

TEST_P(TlsAttack, WhatIsCutCanBeginAnew) {
  demand();
  auto tcp = tcp_to();
  tcp.open();
  ASSERT_FALSE(tcp.says(kRequest).accept);
  tcp.isn += 4711;
  tcp.open();
  EXPECT_TRUE(tcp.says(client_hello()).accept);
  EXPECT_TRUE(tcp.answers(server_hello()).accept);
}

}  // namespace

}  // namespace sallyport::gate
