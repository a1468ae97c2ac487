// For the tests of demanded TLS: a TCP connection of the client to the server through the twin,
// packet by packet.
#pragma once

#include <string>
#include <vector>

#include "gate/decision_fixture.h"
#include "gate/tls_names.h"

namespace sallyport::gate {

inline Bytes bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}
// The beginning of a ClientHello record of a whole length of `size` bytes.
inline Bytes client_hello(size_t size = 200) {
  Bytes out = {0x16, 3, 1, 0, 0, 1};
  out.resize(size, 0x5a);
  out[3] = static_cast<uint8_t>((size - 5) >> 8);
  out[4] = static_cast<uint8_t>(size - 5);
  return out;
}
inline Bytes server_hello(size_t size = 120) {
  Bytes out = client_hello(size);
  out[2] = 3;
  out[5] = 2;
  return out;
}
inline Bytes alert() {
  return {0x15, 3, 3, 0, 2, 2, 40};
}
inline const Bytes kRequest = bytes_of("GET / HTTP/1.1\r\n\r\n");

class TlsDecision : public Decision {
 protected:
  static constexpr uint16_t kPort = 8080, kFreePort = 8085;

  // On every port of the server but 8085, by inference/default.
  void demand() { publish_tls({{2, 0, true, "inference/default"}, {2, kFreePort, false, ""}}); }
  void demand_nothing() { publish_tls({}); }
  void publish_tls(const std::vector<TlsDemand>& demands) {
    auto tables = build_tables(policy.get(), {{1, 11}, {2, 12}, {3, 13}}, config, demands, names);
    ASSERT_TRUE(tables) << tables.error().message;
    twin.publish(std::move(*tables));
  }

  struct Tcp {
    TlsDecision& lab;
    uint16_t from_port = 4000;
    uint16_t port = kPort;
    uint32_t isn = 0xfffffff0;  // so that the stream wraps at once
    uint32_t server_isn = 0x7ffffffa;

    [[nodiscard]] uint32_t first() const { return isn + 1; }
    [[nodiscard]] uint32_t server_first() const { return server_isn + 1; }
    Twin::Verdict client(const Segment& segment, const IpOptions& options = {}) const {
      return lab.send(tcp_segment(lab.client.address(lab.six()), from_port,
                                  lab.server.address(lab.six()), port, segment, options),
                      lab.client, lab.server);
    }
    Twin::Verdict server(const Segment& segment, const IpOptions& options = {}) const {
      return lab.send(tcp_segment(lab.server.address(lab.six()), port,
                                  lab.client.address(lab.six()), from_port, segment, options),
                      lab.server, lab.client);
    }
    Twin::Verdict syn(const Bytes& data = {}) const { return client({kSyn, isn, 0, data}); }
    Twin::Verdict syn_ack(uint32_t taken = 0) const {
      return server({kSyn | kAck, server_isn, first() + taken});
    }
    // Data at `offset` bytes after the first.
    Twin::Verdict says(const Bytes& data, uint32_t offset = 0, uint8_t flags = kAck | kPsh) const {
      return client({flags, first() + offset, server_first(), data});
    }
    Twin::Verdict answers(const Bytes& data, uint32_t offset = 0) const {
      return server({kAck | kPsh, server_first() + offset, first(), data});
    }
    void open() const {
      ASSERT_TRUE(syn().accept);
      ASSERT_TRUE(syn_ack().accept);
      ASSERT_TRUE(says({}).accept);
    }
    void open_tls() const {
      open();
      ASSERT_TRUE(says(client_hello()).accept);
      ASSERT_TRUE(answers(server_hello()).accept);
    }
  };
  Tcp tcp_to(uint16_t port = kPort, uint16_t from_port = 4000) {
    return Tcp{*this, from_port, port};
  }
  // Of the one connection in the table.
  TlsState state() {
    const auto rows = twin.connections();
    EXPECT_EQ(rows.size(), 1u);
    return rows.empty() ? TlsState::kUnknown : rows[0].flow.tls;
  }
  // Events since the last call, without those of beginnings and ends.
  std::vector<FlowEvent> refusals() {
    std::vector<FlowEvent> out;
    for (const auto& event : twin.take_events())
      if (event.kind == FlowEvent::Kind::kDenied || event.kind == FlowEvent::Kind::kRevoked)
        out.push_back(event);
    return out;
  }

  TlsNames names;
};

}  // namespace sallyport::gate
