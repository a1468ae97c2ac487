// Where TLS is demanded: every way to begin a TCP connection, through the twin.
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "gate/tls_fixture.h"

namespace sallyport::gate {

namespace {

INSTANTIATE_TEST_SUITE_P(Families, TlsDecision, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "IPv6" : "IPv4"; });

TEST_P(TlsDecision, TlsPasses) {
  demand();
  const auto tcp = tcp_to();
  tcp.open();
  EXPECT_EQ(state(), TlsState::kUnknown);
  EXPECT_TRUE(tcp.says(client_hello()).accept);
  EXPECT_EQ(state(), TlsState::kClientHello);
  EXPECT_TRUE(tcp.says(bytes_of("rest of it"), 200).accept);
  EXPECT_TRUE(tcp.answers(server_hello()).accept);
  EXPECT_EQ(state(), TlsState::kTls);
  EXPECT_TRUE(tcp.answers(bytes_of("whatever"), 120).accept);
  EXPECT_TRUE(tcp.says(bytes_of("x"), 210).accept);
  EXPECT_TRUE(refusals().empty());
  EXPECT_EQ(twin.connections()[0].flow.tls_policy, "inference/default");
}

TEST_P(TlsDecision, PlaintextIsDroppedForGoodAndToldOnce) {
  demand();
  const auto tcp = tcp_to();
  tcp.open();
  EXPECT_EQ(tcp.says(kRequest).reason, SP_DENY_PLAINTEXT);
  EXPECT_EQ(state(), TlsState::kPlaintext);
  EXPECT_EQ(tcp.says(kRequest).reason, SP_DENY_PLAINTEXT);
  EXPECT_EQ(tcp.says(client_hello()).reason, SP_DENY_PLAINTEXT);
  EXPECT_EQ(tcp.answers(bytes_of("HTTP/1.1 200 OK\r\n")).reason, SP_DENY_PLAINTEXT);
  EXPECT_FALSE(tcp.says({}).accept);
  const auto told = refusals();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].kind, FlowEvent::Kind::kRevoked);
  EXPECT_FALSE(told[0].allow);
  EXPECT_EQ(told[0].reason, SP_DENY_PLAINTEXT);
  EXPECT_EQ(told[0].tls, TlsState::kPlaintext);
  EXPECT_EQ(told[0].tls_policy, "inference/default");
  EXPECT_EQ(told[0].source, client.address(six()));
  EXPECT_EQ(told[0].destination_port, kPort);
  EXPECT_EQ(twin.drops().at(SP_DENY_PLAINTEXT), 5u);
}

TEST_P(TlsDecision, EveryByteOfThePatternCounts) {
  demand();
  uint16_t from_port = 1000;
  const auto begins = [&](Bytes data) {
    const auto tcp = tcp_to(kPort, ++from_port);
    tcp.open();
    return tcp.says(data).accept;
  };
  for (const size_t at : {0, 1, 5}) {
    for (const int wrong : {0x00, 0x02, 0x04, 0x14, 0x15, 0x17, 0x47, 0x80, 0xff}) {
      Bytes hello = client_hello();
      if (hello[at] == wrong) continue;
      hello[at] = static_cast<uint8_t>(wrong);
      EXPECT_FALSE(begins(hello)) << "byte " << at << " is " << wrong;
    }
  }
  for (const size_t at : {2, 3, 4}) {
    Bytes hello = client_hello();
    hello[at] = 0xff;
    EXPECT_TRUE(begins(hello)) << "byte " << at;
  }
  EXPECT_TRUE(begins({0x16, 3, 1, 0, 9, 1}));
  EXPECT_FALSE(begins(server_hello()));
  EXPECT_FALSE(begins(alert()));
}

TEST_P(TlsDecision, TheAnswerIsAServerHelloOrAnAlert) {
  demand();
  uint16_t from_port = 1000;
  const auto answered = [&](const Bytes& data) {
    const auto tcp = tcp_to(kPort, ++from_port);
    tcp.open();
    EXPECT_TRUE(tcp.says(client_hello()).accept);
    return tcp.answers(data);
  };
  EXPECT_TRUE(answered(server_hello()).accept);
  EXPECT_TRUE(answered(alert()).accept);
  EXPECT_EQ(answered(client_hello()).reason, SP_DENY_PLAINTEXT);
  EXPECT_EQ(answered(bytes_of("HTTP/1.1 400 Bad Request\r\n")).reason, SP_DENY_PLAINTEXT);
  EXPECT_EQ(answered({0x15, 2, 3, 0, 2, 2, 40}).reason, SP_DENY_PLAINTEXT);
  EXPECT_EQ(answered({0x16, 3, 3, 0, 5}).reason, SP_DENY_TLS_ORDER);
}

TEST_P(TlsDecision, AFirstSegmentUnderSixBytesWaitsForAWholeOne) {
  demand();
  const auto tcp = tcp_to();
  tcp.open();
  for (size_t size = 1; size < 6; ++size) {
    const Bytes hello = client_hello();
    EXPECT_EQ(tcp.says({hello.begin(), hello.begin() + static_cast<long>(size)}).reason,
              SP_DENY_TLS_ORDER)
        << size;
  }
  EXPECT_EQ(tcp.says(bytes_of("HELLO")).reason, SP_DENY_TLS_ORDER);
  auto told = refusals();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].reason, SP_DENY_TLS_ORDER);
  EXPECT_EQ(told[0].tls_policy, "inference/default");
  // Sent again with more: it goes on after all, and that is told too.
  EXPECT_TRUE(tcp.says(client_hello()).accept);
  const auto events = twin.take_events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, FlowEvent::Kind::kNew);
  EXPECT_EQ(events[0].tls, TlsState::kClientHello);
  // Or it was plaintext: no second event.
  const auto other = tcp_to(kPort, 4001);
  other.open();
  EXPECT_FALSE(other.says(bytes_of("GET")).accept);
  EXPECT_FALSE(other.says(kRequest).accept);
  EXPECT_EQ(refusals().size(), 1u);
}

TEST_P(TlsDecision, WhatComesBeforeTheFirstBytesIsDropped) {
  demand();
  const auto tcp = tcp_to();
  tcp.open();
  for (const uint32_t offset : {1u, 5u, 6u, 100u, 1000000u})
    EXPECT_EQ(tcp.says(client_hello(), offset).reason, SP_DENY_TLS_ORDER) << offset;
  EXPECT_TRUE(tcp.says(client_hello()).accept);
  EXPECT_TRUE(tcp.says(bytes_of("the rest"), 200).accept);
  // The responder's order as well.
  EXPECT_EQ(tcp.answers(bytes_of("certificate"), 120).reason, SP_DENY_TLS_ORDER);
  EXPECT_EQ(tcp.answers(server_hello(), 3).reason, SP_DENY_TLS_ORDER);
  EXPECT_TRUE(tcp.answers(server_hello()).accept);
  EXPECT_TRUE(tcp.answers(bytes_of("certificate"), 120).accept);
}

TEST_P(TlsDecision, AResponderThatSpeaksFirstIsPlaintext) {
  demand();
  const auto tcp = tcp_to();
  tcp.open();
  EXPECT_EQ(tcp.answers(bytes_of("220 mail ready\r\n")).reason, SP_DENY_PLAINTEXT);
  EXPECT_EQ(tcp.says(client_hello()).reason, SP_DENY_PLAINTEXT);
  EXPECT_EQ(refusals().size(), 1u);
  const auto other = tcp_to(kPort, 4001);
  other.open();
  EXPECT_EQ(other.answers(server_hello()).reason, SP_DENY_PLAINTEXT);
  // In its SYN-ACK already.
  const auto third = tcp_to(kPort, 4002);
  ASSERT_TRUE(third.syn().accept);
  EXPECT_EQ(
      third.server({kSyn | kAck, third.server_isn, third.first(), bytes_of("220 mail")}).reason,
      SP_DENY_PLAINTEXT);
}

TEST_P(TlsDecision, AConnectionWhoseSynNobodySawIsDroppedAndNamed) {
  demand();
  const auto tcp = tcp_to();
  EXPECT_EQ(tcp.says(client_hello()).reason, SP_DENY_SYN_UNSEEN);
  EXPECT_EQ(tcp.syn_ack().reason, SP_DENY_NO_CONNECTION);  // towards the client nothing is demanded
  const auto told = refusals();
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].tls_policy, "inference/default");
  EXPECT_EQ(told[1].tls_policy, "");
  EXPECT_EQ(tcp_to(kFreePort).says(client_hello()).reason, SP_DENY_NO_CONNECTION);
}

TEST_P(TlsDecision, OnlyTheDemandedPortsOfTcp) {
  demand();
  const auto free = tcp_to(kFreePort);
  free.open();
  EXPECT_TRUE(free.says(kRequest).accept);
  EXPECT_TRUE(free.answers(bytes_of("HTTP/1.1 200 OK\r\n")).accept);
  EXPECT_EQ(state(), TlsState::kPlaintext);
  EXPECT_TRUE(send(udp(client, 4000, server, 8080), client, server).accept);
  EXPECT_TRUE(refusals().empty());
  // The demand is about connections to the server, not of it.
  ASSERT_TRUE(
      send(tcp_segment(server.address(six()), 8080, client.address(six()), 5000, {kSyn, 100, 0}),
           server, client)
          .accept);
  ASSERT_TRUE(send(tcp_segment(client.address(six()), 5000, server.address(six()), 8080,
                               {kSyn | kAck, 200, 101}),
                   client, server)
                  .accept);
  EXPECT_TRUE(send(tcp_segment(server.address(six()), 8080, client.address(six()), 5000,
                               {kAck, 101, 201, kRequest}),
                   server, client)
                  .accept);
}

TEST_P(TlsDecision, OnePortAlone) {
  publish_tls({{2, kFreePort, true, "a/only-8085"}});
  const auto plain = tcp_to(kPort);
  plain.open();
  EXPECT_TRUE(plain.says(kRequest).accept);
  const auto strict = tcp_to(kFreePort);
  strict.open();
  EXPECT_FALSE(strict.says(kRequest).accept);
  const auto told = refusals();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].tls_policy, "a/only-8085");
}

TEST_P(TlsDecision, FromOutsideAndFromThePodItself) {
  CompiledBuilder open;
  for (const auto* host : {&client, &server, &stranger})
    open.endpoint(host->id, {host->v4, host->v6}, 0, 0);
  policy = open;
  demand();
  for (const Host* from : {&outside, &server}) {
    const auto segment = [&](const Segment& s) {
      return send(tcp_segment(from->address(six()), 3000, server.address(six()), kPort, s), *from,
                  server);
    };
    ASSERT_TRUE(segment({kSyn, 10, 0}).accept);
    ASSERT_TRUE(send(tcp_segment(server.address(six()), kPort, from->address(six()), 3000,
                                 {kSyn | kAck, 20, 11}),
                     server, *from)
                    .accept);
    EXPECT_EQ(segment({kAck, 11, 21, kRequest}).reason, SP_DENY_PLAINTEXT);
  }
}

TEST_P(TlsDecision, SwitchingItOnCutsPlaintextAndSparesTls) {
  demand_nothing();
  const auto tls = tcp_to(kPort, 4000), plain = tcp_to(kPort, 4001), silent = tcp_to(kPort, 4002),
             half = tcp_to(kPort, 4003), banner = tcp_to(kPort, 4004);
  tls.open_tls();
  plain.open();
  ASSERT_TRUE(plain.says(kRequest).accept);
  silent.open();
  half.open();
  ASSERT_TRUE(half.says(client_hello()).accept);
  banner.open();
  ASSERT_TRUE(banner.answers(bytes_of("220 ready")).accept);
  ASSERT_TRUE(refusals().empty());

  demand();
  EXPECT_TRUE(tls.says(bytes_of("more"), 200).accept);
  EXPECT_TRUE(tls.answers(bytes_of("more"), 120).accept);
  EXPECT_TRUE(half.answers(server_hello()).accept);
  EXPECT_TRUE(refusals().empty());
  EXPECT_EQ(plain.answers(bytes_of("HTTP/1.1 200 OK")).reason, SP_DENY_PLAINTEXT);
  EXPECT_EQ(plain.says(bytes_of("more"), 18).reason, SP_DENY_PLAINTEXT);
  EXPECT_EQ(banner.says({}).reason, SP_DENY_PLAINTEXT);
  const auto told = refusals();
  ASSERT_EQ(told.size(), 2u);
  for (const auto& event : told) {
    EXPECT_EQ(event.kind, FlowEvent::Kind::kRevoked);
    EXPECT_EQ(event.tls_policy, "inference/default");
  }
  // What has not begun yet begins as TLS or not at all.
  EXPECT_FALSE(silent.says(kRequest).accept);

  demand_nothing();
  EXPECT_TRUE(plain.says(bytes_of("more"), 18).accept);
  EXPECT_TRUE(silent.says(kRequest).accept);
  demand();
  EXPECT_FALSE(plain.says(bytes_of("more"), 18).accept);
  EXPECT_TRUE(tls.says(bytes_of("more"), 204).accept);
}

TEST_P(TlsDecision, PayloadInASyn) {
  demand();
  const auto plain = tcp_to(kPort, 4000);
  EXPECT_EQ(plain.syn(kRequest).reason, SP_DENY_PLAINTEXT);
  EXPECT_FALSE(plain.syn().accept);
  const auto tls = tcp_to(kPort, 4001);
  EXPECT_TRUE(tls.syn(client_hello()).accept);
  EXPECT_TRUE(tls.syn_ack(200).accept);
  EXPECT_TRUE(tls.answers(server_hello()).accept);
  EXPECT_TRUE(tls.says(bytes_of("finished"), 200).accept);
  // The responder may take no notice of it; then it comes again.
  const auto ignored = tcp_to(kPort, 4002);
  EXPECT_TRUE(ignored.syn(client_hello()).accept);
  EXPECT_TRUE(ignored.syn().accept);
  EXPECT_TRUE(ignored.syn_ack(0).accept);
  EXPECT_TRUE(ignored.says(client_hello()).accept);
  EXPECT_TRUE(ignored.answers(server_hello()).accept);
  // Too little of it: like any other short segment.
  const auto few = tcp_to(kPort, 4003);
  EXPECT_EQ(few.syn(bytes_of("GET")).reason, SP_DENY_TLS_ORDER);
  EXPECT_TRUE(few.syn().accept);
  EXPECT_TRUE(few.syn_ack().accept);
  EXPECT_TRUE(few.says(client_hello()).accept);
}

TEST_P(TlsDecision, KeepAlivesOptionsAndPlainEndsPass) {
  demand();
  const auto tcp = tcp_to();
  tcp.open();
  EXPECT_TRUE(tcp.says({0}, static_cast<uint32_t>(-1)).accept);
  EXPECT_TRUE(tcp.answers({0}, static_cast<uint32_t>(-1)).accept);
  EXPECT_EQ(state(), TlsState::kUnknown);
  // With garbage before it, but also with what follows: that must be a ClientHello.
  Bytes shifted = Bytes{0} + client_hello();
  EXPECT_TRUE(tcp.says(shifted, static_cast<uint32_t>(-1)).accept);
  EXPECT_EQ(state(), TlsState::kClientHello);
  const auto lying = tcp_to(kPort, 4001);
  lying.open();
  EXPECT_EQ(lying.says(Bytes{0x16} + kRequest, static_cast<uint32_t>(-1)).reason,
            SP_DENY_PLAINTEXT);

  const auto options = tcp_to(kPort, 4002);
  options.open();
  IpOptions ip_options;
  if (six()) {
    ip_options.extensions = {6, 0, 1, 4, 0, 0, 0, 0};
    ip_options.first_next = 60;
  } else {
    ip_options.options = {1, 1, 1, 1};
  }
  Segment hello{kAck, options.first(), options.server_first(), client_hello(),
                Bytes{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}};
  EXPECT_TRUE(options.client(hello, ip_options).accept);
  Segment request = hello;
  request.payload = kRequest;
  EXPECT_EQ(options.client(request, ip_options).reason, SP_DENY_PLAINTEXT);

  const auto ended = tcp_to(kPort, 4003);
  ended.open();
  EXPECT_TRUE(ended.says({}, 0, kFin | kAck).accept);
  EXPECT_TRUE(ended.server({kFin | kAck, ended.server_first(), ended.first() + 1}).accept);
  const auto reset = tcp_to(kPort, 4004);
  reset.open();
  EXPECT_TRUE(reset.says(bytes_of("why it is reset"), 0, kRst | kAck).accept);
  EXPECT_TRUE(refusals().size() == 2);
}

TEST_P(TlsDecision, ATcpHeaderThatIsLongerThanThePacketIsMalformed) {
  demand();
  const auto tcp = tcp_to();
  tcp.open();
  Bytes packet = tcp_segment(client.address(six()), 4000, server.address(six()), kPort,
                             {kAck, tcp.first(), tcp.server_first(), kRequest});
  packet[(six() ? 40u : 20u) + 12] = 15 << 4;
  EXPECT_EQ(send(packet, client, server).reason, SP_DENY_MALFORMED);
}

}  // namespace

}  // namespace sallyport::gate
