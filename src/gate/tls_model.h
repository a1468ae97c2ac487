// For the property test and the fuzz target of demanded TLS: a responder with an honest TCP, an
// initiator that sends whatever it likes, and the gate's decision between them. The model knows
// nothing of the gate's states: it only looks at what the responder's application can read.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gate/compiled_builder.h"
#include "gate/test_packets.h"
#include "gate/tls_names.h"
#include "gate/twin.h"

namespace sallyport::gate {

// The receiving half of a TCP, as Linux has it: what is in order wins over what was kept, what was
// there first wins over what comes later, and an urgent byte leaves the stream.
class Receiver {
 public:
  explicit Receiver(uint32_t first) : next_(first) {}
  // Urgent pointer: the sequence number of the urgent byte.
  void take(uint32_t sequence, const Bytes& data, std::optional<uint32_t> urgent) {
    if (urgent && static_cast<int32_t>(*urgent - next_) >= 0) urgent_ = urgent;
    const auto ahead = static_cast<int32_t>(sequence - next_);
    if (ahead > 0) {
      if (ahead < 1 << 20) kept_.try_emplace(sequence, data);
      return;
    }
    const uint32_t old = next_ - sequence;
    if (old >= data.size()) return;
    deliver({data.begin() + static_cast<long>(old), data.end()});
    while (!kept_.empty()) {
      const auto at = std::find_if(kept_.begin(), kept_.end(), [this](const auto& kept) {
        return static_cast<int32_t>(kept.first - next_) <= 0;
      });
      if (at == kept_.end()) break;
      const uint32_t seen = next_ - at->first;
      if (seen < at->second.size())
        deliver({at->second.begin() + static_cast<long>(seen), at->second.end()});
      kept_.erase(at);
    }
  }
  [[nodiscard]] const Bytes& stream() const { return stream_; }
  [[nodiscard]] uint32_t next() const { return next_; }

 private:
  void deliver(const Bytes& data) {
    for (const uint8_t byte : data) {
      if (!urgent_ || *urgent_ != next_) stream_.push_back(byte);
      ++next_;
    }
  }
  uint32_t next_;
  std::optional<uint32_t> urgent_;
  std::map<uint32_t, Bytes> kept_;
  Bytes stream_;
};

inline bool begins_as(const Bytes& stream, uint8_t message) {
  return stream.size() >= 6 && stream[0] == 0x16 && stream[1] == 3 && stream[5] == message;
}

class TlsModel {
 public:
  // A number below n.
  using Choose = std::function<uint32_t(uint32_t n)>;

  TlsModel(Choose choose, bool demanded) : choose_(std::move(choose)), twin_(64, 64) {
    policy_.endpoint(1, {ip("198.18.0.1")}, 0, 0);
    policy_.endpoint(2, {ip("198.18.0.2")}, 0, 0);
    config_.pod_ranges = {cidr("198.18.0.0/16")};
    fast_open_ = choose_(2) == 1;
    demand(demanded);
  }

  void demand(bool on) {
    demanded_ = on;
    std::vector<TlsDemand> demands;
    if (on) demands.push_back({2, 0, true, "a/b"});
    twin_.publish(
        build_tables(policy_.get(), {{1, 11}, {2, 12}}, config_, demands, names_).value());
  }

  // The initiator does something, honest or not; the responder reacts.
  void step() {
    switch (choose_(20)) {
      case 0:
        isn_ = known_.empty() || choose_(3) == 0 ? choose_(4) * 0x7ffffff1u : pick_known();
        [[fallthrough]];
      case 1:
        send(kSyn, isn_, choose_(3) == 0 ? content() : Bytes{});
        break;
      case 2:
        send(kRst, pick_sequence(), {});
        break;
      case 3:
        if (connection_) answer_syn(*connection_);  // once more
        break;
      case 4:
        twin_.advance(uint64_t{choose_(40)} * 1'000'000'000);
        break;
      case 5:
        if (connection_) connection_.reset();  // the responder forgets, and nobody hears of it
        break;
      case 6:
      case 7:
      case 8:
      case 9:
        if (connection_ && connection_->established) say();
        break;
      default:
        send(static_cast<uint8_t>(kAck | (choose_(16) == 0 ? kUrg : 0) |
                                  (choose_(24) == 0 ? kFin : 0)),
             pick_sequence(), content());
    }
  }

  [[nodiscard]] const Bytes* read_by_responder() const {
    return connection_ ? &connection_->in.stream() : nullptr;
  }
  // Plaintext reached the application although TLS is demanded: "", or how.
  [[nodiscard]] const std::string& broken() const { return broken_; }
  // What the gate says about the connection.
  [[nodiscard]] TlsState tls() const {
    const auto rows = twin_.connections();
    return rows.empty() ? TlsState::kUnknown : rows[0].flow.tls;
  }

 private:
  struct Connection {
    uint32_t isn = 0, own_isn = 0, taken = 0;
    Receiver in;
    bool established = false;
    uint32_t sent = 0;
  };

  Bytes content() {
    static const Bytes hello = {0x16, 3, 1, 0, 40, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    static const Bytes plain = {'G', 'E', 'T', ' ', '/', ' ', 'H', 'T', 'T', 'P', '\r', '\n'};
    Bytes out = choose_(2) == 0 ? hello : plain;
    switch (choose_(4)) {
      case 0:
        out.resize(choose_(static_cast<uint32_t>(out.size()) + 1));
        break;
      case 1:
        out = Bytes(1 + choose_(3), 0) + out;
        break;
      default:
        break;
    }
    return out;
  }
  uint32_t pick_known() { return known_[choose_(static_cast<uint32_t>(known_.size()))]; }
  uint32_t pick_sequence() {
    const uint32_t base = (known_.empty() || choose_(2) == 0 ? isn_ : pick_known()) + 1;
    static constexpr int32_t kOffsets[] = {0, 0, 0, 0, -1, -2, 1, 2, 3, 5, 6, 7, 12, 16, 100, -16};
    return base + static_cast<uint32_t>(kOffsets[choose_(16)]);
  }

  bool passes(const Bytes& packet, bool to_responder) {
    return twin_
        .decide(packet, to_responder ? Arrival{11, 12, Family::kV4, false, false}
                                     : Arrival{12, 11, Family::kV4, false, false})
        .accept;
  }

  void send(uint8_t flags, uint32_t sequence, const Bytes& data) {
    if ((flags & kSyn) != 0 && known_.size() < 16) known_.push_back(sequence);
    Segment segment{flags, sequence, 0, data, {}, 0};
    if ((flags & kUrg) != 0) segment.urgent_pointer = static_cast<uint16_t>(1 + choose_(6));
    const bool arrives = passes(tcp_segment(a_, 4000, b_, 8080, segment), true);
    if (!arrives || choose_(4) == 0) return;  // lost, or its checksum is wrong
    receive(segment);
  }

  void receive(const Segment& s) {
    if ((s.flags & kSyn) != 0) {
      if (connection_) return;  // a challenge at most: it stays what it is
      connection_ = Connection{s.sequence, choose_(1000) + 5, 0, Receiver(s.sequence + 1)};
      if (fast_open_ && !s.payload.empty()) {
        connection_->taken = static_cast<uint32_t>(s.payload.size());
        connection_->in.take(s.sequence + 1, s.payload, {});
      }
      answer_syn(*connection_);
      look();
      return;
    }
    if (!connection_) return;
    if ((s.flags & kRst) != 0) {
      if (s.sequence == connection_->in.next()) connection_.reset();
      return;
    }
    connection_->established = true;
    std::optional<uint32_t> urgent;
    if ((s.flags & kUrg) != 0) urgent = s.sequence + s.urgent_pointer - 1;
    connection_->in.take(s.sequence, s.payload, urgent);
    look();
  }

  void look() {
    if (!demanded_ || !connection_ || !broken_.empty()) return;
    const Bytes& stream = connection_->in.stream();
    if (stream.empty() || begins_as(stream, 1)) return;
    broken_ = "the application reads " + std::to_string(stream.size()) + " bytes: ";
    for (const uint8_t byte : stream) broken_ += std::to_string(byte) + " ";
  }

  void answer_syn(const Connection& c) {
    (void)passes(
        tcp_segment(b_, 8080, a_, 4000, {kSyn | kAck, c.own_isn, c.isn + 1 + c.taken, {}, {}, 0}),
        false);
  }
  // The application answers what it has read.
  void say() {
    Connection& c = *connection_;
    if (c.in.stream().empty()) return;
    static const Bytes hello = {0x16, 3, 3, 0, 40, 2, 1, 1, 1};
    static const Bytes plain = {'H', 'T', 'T', 'P', '/', '1', '.', '1', ' ', '2'};
    const Bytes& what = begins_as(c.in.stream(), 1) ? hello : plain;
    (void)passes(
        tcp_segment(b_, 8080, a_, 4000, {kAck, c.own_isn + 1 + c.sent, c.in.next(), what, {}, 0}),
        false);
    if (choose_(2) == 0) c.sent += static_cast<uint32_t>(what.size());
  }

  Choose choose_;
  Twin twin_;
  CompiledBuilder policy_;
  GateConfig config_;
  TlsNames names_;
  Ip a_ = ip("198.18.0.1"), b_ = ip("198.18.0.2");
  bool demanded_ = false, fast_open_ = false;
  uint32_t isn_ = 0xfffffff8;
  std::vector<uint32_t> known_;
  std::optional<Connection> connection_;
  std::string broken_;
};

}  // namespace sallyport::gate
