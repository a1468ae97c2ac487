// Properties of demanded TLS over many random connections.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "gate/tls_fixture.h"
#include "gate/tls_model.h"

namespace sallyport::gate {

namespace {

// Whatever an initiator does, the responder's application reads nothing but what begins as a
// ClientHello.
TEST(TlsProperty, NoPlaintextReachesTheApplication) {
  int began = 0, answered = 0, again = 0;
  for (uint32_t seed = 1; seed <= 4000; ++seed) {
    std::mt19937 random(seed);
    TlsModel model([&](uint32_t n) { return static_cast<uint32_t>(random() % n); }, true);
    bool read = false, tls = false;
    for (int i = 0; i < 80; ++i) {
      model.step();
      ASSERT_EQ(model.broken(), "") << "seed " << seed << ", step " << i;
      const Bytes* stream = model.read_by_responder();
      read |= stream != nullptr && !stream->empty();
      again += tls && read && model.tls() != TlsState::kTls;
      tls |= model.tls() == TlsState::kTls;
    }
    began += read;
    answered += tls;
  }
  // The model is not simply shut out, and it goes on after a connection that was TLS.
  EXPECT_GT(began, 400);
  EXPECT_GT(answered, 100);
  EXPECT_GT(again, 100);
}

// The same model does get plaintext through where nobody demands TLS.
TEST(TlsProperty, TheModelNoticesPlaintext) {
  int plain = 0;
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    TlsModel model([&](uint32_t n) { return static_cast<uint32_t>(random() % n); }, false);
    for (int i = 0; i < 80; ++i) model.step();
    const Bytes* stream = model.read_by_responder();
    plain += stream != nullptr && stream->size() >= 6 && !begins_as(*stream, 1);
  }
  EXPECT_GT(plain, 20);
}

// Honest ends on a bad wire: any segmentation, order and loss; what is not acknowledged comes
// again, perhaps cut otherwise.
class TlsWire : public TlsDecision {
 protected:
  struct End {
    Bytes data;
    uint32_t acknowledged = 0;
  };
  // Sends some segments of what is not acknowledged, each of them perhaps lost.
  void send_some(const Tcp& tcp, End& end, Receiver& peer, bool to_server) {
    const auto left = static_cast<uint32_t>(end.data.size()) - end.acknowledged;
    if (left == 0) return;
    std::vector<std::pair<uint32_t, uint32_t>> pieces;
    for (uint32_t at = end.acknowledged; at < end.data.size();) {
      const uint32_t size =
          std::min(1 + below(below(4) == 0 ? 4 : 400), static_cast<uint32_t>(end.data.size()) - at);
      pieces.emplace_back(at, size);
      at += size;
    }
    if (below(3) == 0) std::shuffle(pieces.begin(), pieces.end(), random);
    for (const auto& [at, size] : pieces) {
      const Bytes data(end.data.begin() + at, end.data.begin() + at + size);
      const bool passed = (to_server ? tcp.says(data, at) : tcp.answers(data, at)).accept;
      if (passed && below(4) != 0)
        peer.take((to_server ? tcp.first() : tcp.server_first()) + at, data, {});
    }
    end.acknowledged = peer.next() - (to_server ? tcp.first() : tcp.server_first());
  }
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(random() % n); }
  std::mt19937 random{7};
};
INSTANTIATE_TEST_SUITE_P(Families, TlsWire, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "IPv6" : "IPv4"; });

TEST_P(TlsWire, HonestTlsArrivesWholeAndStaysWhenItIsDemandedOnTheWay) {
  for (uint16_t round = 0; round < 300; ++round) {
    const bool from_the_start = round % 2 == 0;
    from_the_start ? demand() : demand_nothing();
    auto tcp = tcp_to(kPort, static_cast<uint16_t>(2000 + round));
    tcp.isn = static_cast<uint32_t>(random());
    tcp.server_isn = static_cast<uint32_t>(random());
    tcp.open();
    End client{client_hello(1510), 0}, server{server_hello(900), 0};
    Receiver at_server(tcp.first()), at_client(tcp.server_first());
    // Undemanded, a first segment that is too short settles it: this one is whole then.
    if (!from_the_start) {
      ASSERT_TRUE(tcp.says(client.data).accept);
      at_server.take(tcp.first(), client.data, {});
      client.acknowledged = 1510;
      ASSERT_TRUE(tcp.answers(server.data).accept);
      demand();
      client.data.resize(4000, 'c');
    }
    for (int i = 0; i < 400 && (client.acknowledged < client.data.size() ||
                                server.acknowledged < server.data.size());
         ++i) {
      send_some(tcp, client, at_server, true);
      if (client.acknowledged >= 1510) send_some(tcp, server, at_client, false);
    }
    ASSERT_EQ(at_server.stream(), client.data) << round;
    ASSERT_EQ(at_client.stream(), server.data) << round;
    ASSERT_TRUE(tcp.says({}, 4000, kRst | kAck).accept);
    twin.advance(10 * kSecond);
    for (const auto& event : refusals()) ASSERT_EQ(event.reason, SP_DENY_TLS_ORDER) << round;
  }
}

TEST_P(TlsWire, HonestPlaintextNeverArrivesAndIsToldOnce) {
  demand();
  for (uint16_t round = 0; round < 300; ++round) {
    auto tcp = tcp_to(kPort, static_cast<uint16_t>(2000 + round));
    tcp.isn = static_cast<uint32_t>(random());
    tcp.open();
    Bytes request = kRequest;
    for (auto& byte : request)
      if (below(8) == 0) byte = static_cast<uint8_t>(random());
    request[below(2)] = 'P';  // no ClientHello by chance
    End client{request, 0}, server{bytes_of("220 ready when you are"), 0};
    Receiver at_server(tcp.first()), at_client(tcp.server_first());
    for (int i = 0; i < 20; ++i) {
      send_some(tcp, client, at_server, true);
      if (round % 3 == 0 && i > 10) send_some(tcp, server, at_client, false);
    }
    ASSERT_TRUE(at_server.stream().empty()) << round;
    ASSERT_TRUE(at_client.stream().empty()) << round;
    const auto told = refusals();
    ASSERT_EQ(told.size(), 1u) << round;
    ASSERT_EQ(told[0].tls_policy, "inference/default");
    twin.forget_endpoint(2);
    twin.take_events();
  }
}

}  // namespace

}  // namespace sallyport::gate
