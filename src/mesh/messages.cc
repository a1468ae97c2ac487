#include "mesh/messages.h"

#include <limits>

#include "codec/json.h"

namespace sallyport::mesh {
namespace {

using codec::Value;

constexpr size_t kMostText = 64 << 10;
constexpr int kMostDepth = 4;
constexpr size_t kMostName = 512;   // of a uid or SPIFFE ID
constexpr size_t kMostWhy = 16384;  // of a refusal
constexpr int kMostWanted = 100'000;
constexpr int kMostWorkers = 1024;

std::string_view kind_text(SocketKind kind) {
  return kind == SocketKind::kOutbound ? "outbound" : "toApp";
}

// One message that is read; the first thing that is wrong is kept.
class Reader {
 public:
  Reader(Value value, std::vector<Fd> fds) : value_(std::move(value)), fds_(std::move(fds)) {}

  [[nodiscard]] const std::string& type() const { return value_["type"].as_string(); }

  uint64_t number(std::string_view key) {
    const Value* found = value_.find(key);
    if (!found || found->type() != Value::Type::kInt || found->as_int() < 0) {
      wrong(std::string(key) + ": expected a number that is not negative");
      return 0;
    }
    return static_cast<uint64_t>(found->as_int());
  }
  int small(std::string_view key, int least, int most) {
    uint64_t n = number(key);
    if (n < static_cast<uint64_t>(least) || n > static_cast<uint64_t>(most)) {
      wrong(std::string(key) + ": expected " + std::to_string(least) + " to " +
            std::to_string(most));
      return least;
    }
    return static_cast<int>(n);
  }
  std::string text(std::string_view key, size_t most, bool may_be_empty = false) {
    const Value* found = value_.find(key);
    if (!found || !found->is_string() || found->as_string().size() > most ||
        (found->as_string().empty() && !may_be_empty)) {
      wrong(std::string(key) + ": expected a string of at most " + std::to_string(most) + " bytes");
      return {};
    }
    return found->as_string();
  }
  SocketKind kind() {
    std::string name = text("kind", 16);
    if (name == "toApp") return SocketKind::kToApp;
    if (name != "outbound") wrong("kind: expected outbound or toApp");
    return SocketKind::kOutbound;
  }
  Family family() { return number_family(number("family")); }

  // To be asked for before the descriptors are taken.
  void expect_fds(size_t least, size_t most) {
    if (fds_.size() < least || fds_.size() > most)
      wrong(std::to_string(fds_.size()) + " descriptors came with it, expected " +
            std::to_string(least) + (least == most ? "" : " to " + std::to_string(most)));
  }
  Fd fd(size_t i) { return i < fds_.size() ? std::move(fds_[i]) : Fd(); }
  std::vector<Fd> all_fds() { return std::move(fds_); }

  template <class Message, class T>
  Result<Message> finish(T message) {
    if (!problem_.empty()) return fail(Code::kInvalid, "message \"" + type() + "\": " + problem_);
    return Message(std::move(message));
  }

 private:
  Family number_family(uint64_t n) {
    if (n != 4 && n != 6) wrong("family: expected 4 or 6");
    return n == 6 ? Family::kV6 : Family::kV4;
  }
  void wrong(std::string what) {
    if (problem_.empty()) problem_ = std::move(what);
  }

  Value value_;
  std::vector<Fd> fds_;
  std::string problem_;
};

Result<Reader> open(std::string_view text, std::vector<Fd> fds) {
  SP_TRY(Value value, codec::parse_json(text, kMostText, kMostDepth));
  if (!value.is_map() || !value["type"].is_string())
    return fail(Code::kInvalid, "a message is no JSON object with a string member \"type\"");
  return Reader(std::move(value), std::move(fds));
}

std::unexpected<Error> unknown(const Reader& in) {
  return fail(Code::kInvalid, "unknown message \"" + in.type().substr(0, 64) + "\"");
}

// Builds {"type":..., ...}.
class Writer {
 public:
  explicit Writer(std::string_view type) : value_(Value::map()) { value_.set("type", type); }
  Writer& number(std::string_view key, uint64_t n) {
    value_.set(key, Value::integer(static_cast<int64_t>(n)));
    return *this;
  }
  Writer& text(std::string_view key, std::string_view s) {
    value_.set(key, s);
    return *this;
  }
  Writer& fd(const Fd& fd) {
    fds_.push_back(fd.get());
    return *this;
  }
  Writer& family(Family family) { return number("family", static_cast<uint64_t>(family)); }
  Packet packet() { return {codec::write_json(value_), std::move(fds_)}; }

 private:
  Value value_;
  std::vector<int> fds_;
};

Packet write(const ConfigMessage& m) {
  return Writer("config").number("generation", m.generation).fd(m.content).packet();
}
Packet write(const PodMessage& m) {
  return Writer("pod")
      .text("uid", m.uid)
      .fd(m.outbound4)
      .fd(m.outbound6)
      .fd(m.inbound4)
      .fd(m.inbound6)
      .packet();
}
Packet write(const PodGoneMessage& m) {
  return Writer("podGone").text("uid", m.uid).packet();
}
Packet write(const SocketsMessage& m) {
  Writer out("sockets");
  out.text("uid", m.uid).text("kind", kind_text(m.kind)).family(m.family);
  for (const Fd& fd : m.sockets) out.fd(fd);
  return out.packet();
}
Packet write(const SvidMessage& m) {
  return Writer("svid").text("id", m.id).fd(m.content).packet();
}
Packet write(const MetricsRequest& m) {
  return Writer("metrics").number("number", m.number).packet();
}
Packet write(const StatusRequest& m) {
  return Writer("status").number("number", m.number).packet();
}
Packet write(const AccessLogMessage& m) {
  Writer out("accessLog");
  if (m.file) out.fd(m.file);
  return out.packet();
}
Packet write(const FlowRingMessage& m) {
  return Writer("flowRing").number("worker", static_cast<uint64_t>(m.worker)).fd(m.ring).packet();
}
Packet write(const ReadyMessage& m) {
  return Writer("ready").number("generation", m.generation).packet();
}
Packet write(const RefusedMessage& m) {
  return Writer("refused")
      .number("generation", m.generation)
      .text("why", std::string_view(m.why).substr(0, kMostWhy / 6))
      .packet();
}
Packet write(const NeedSockets& m) {
  return Writer("needSockets")
      .text("uid", m.uid)
      .text("kind", kind_text(m.kind))
      .family(m.family)
      .number("count", static_cast<uint64_t>(m.count))
      .packet();
}
Packet write(const ServingMessage& m) {
  return Writer("serving")
      .text("uid", m.uid)
      .fd(m.outbound4)
      .fd(m.outbound6)
      .fd(m.inbound4)
      .fd(m.inbound6)
      .packet();
}
Packet write(const AttachedMessage& m) {
  return Writer("attached")
      .number("generation", m.generation)
      .number("schema", static_cast<uint64_t>(m.schema))
      .packet();
}
Packet write(const MetricsAnswer& m) {
  return Writer("metrics").number("number", m.number).fd(m.content).packet();
}
Packet write(const StatusAnswer& m) {
  return Writer("status").number("number", m.number).fd(m.content).packet();
}

}  // namespace

Packet encode_message(const ToProxy& message) {
  return std::visit([](const auto& m) { return write(m); }, message);
}

Packet encode_message(const ToNode& message) {
  return std::visit([](const auto& m) { return write(m); }, message);
}

Result<ToProxy> decode_to_proxy(std::string_view text, std::vector<Fd> fds) {
  SP_TRY(Reader in, open(text, std::move(fds)));
  const std::string& type = in.type();
  if (type == "config") {
    in.expect_fds(1, 1);
    return in.finish<ToProxy>(ConfigMessage{in.number("generation"), in.fd(0)});
  }
  if (type == "pod") {
    in.expect_fds(4, 4);
    return in.finish<ToProxy>(
        PodMessage{in.text("uid", kMostName), in.fd(0), in.fd(1), in.fd(2), in.fd(3)});
  }
  if (type == "podGone") {
    in.expect_fds(0, 0);
    return in.finish<ToProxy>(PodGoneMessage{in.text("uid", kMostName)});
  }
  if (type == "sockets") {
    in.expect_fds(1, kMostDescriptors);
    SocketsMessage m;
    m.uid = in.text("uid", kMostName);
    m.kind = in.kind();
    m.family = in.family();
    m.sockets = in.all_fds();
    return in.finish<ToProxy>(std::move(m));
  }
  if (type == "svid") {
    in.expect_fds(1, 1);
    return in.finish<ToProxy>(SvidMessage{in.text("id", kMostName), in.fd(0)});
  }
  if (type == "metrics") {
    in.expect_fds(0, 0);
    return in.finish<ToProxy>(MetricsRequest{in.number("number")});
  }
  if (type == "status") {
    in.expect_fds(0, 0);
    return in.finish<ToProxy>(StatusRequest{in.number("number")});
  }
  if (type == "accessLog") {
    in.expect_fds(0, 1);
    return in.finish<ToProxy>(AccessLogMessage{in.fd(0)});
  }
  if (type == "flowRing") {
    in.expect_fds(1, 1);
    return in.finish<ToProxy>(FlowRingMessage{in.small("worker", 0, kMostWorkers), in.fd(0)});
  }
  return unknown(in);
}

Result<ToNode> decode_to_node(std::string_view text, std::vector<Fd> fds) {
  SP_TRY(Reader in, open(text, std::move(fds)));
  const std::string& type = in.type();
  if (type == "ready") {
    in.expect_fds(0, 0);
    return in.finish<ToNode>(ReadyMessage{in.number("generation")});
  }
  if (type == "serving") {
    in.expect_fds(4, 4);
    return in.finish<ToNode>(
        ServingMessage{in.text("uid", kMostName), in.fd(0), in.fd(1), in.fd(2), in.fd(3)});
  }
  if (type == "attached") {
    in.expect_fds(0, 0);
    return in.finish<ToNode>(
        AttachedMessage{in.number("generation"), in.small("schema", 0, 1 << 20)});
  }
  if (type == "refused") {
    in.expect_fds(0, 0);
    RefusedMessage m;
    m.generation = in.number("generation");
    m.why = in.text("why", kMostWhy, true);
    return in.finish<ToNode>(std::move(m));
  }
  if (type == "needSockets") {
    in.expect_fds(0, 0);
    NeedSockets m;
    m.uid = in.text("uid", kMostName);
    m.kind = in.kind();
    m.family = in.family();
    m.count = in.small("count", 1, kMostWanted);
    return in.finish<ToNode>(std::move(m));
  }
  if (type == "metrics") {
    in.expect_fds(1, 1);
    return in.finish<ToNode>(MetricsAnswer{in.number("number"), in.fd(0)});
  }
  if (type == "status") {
    in.expect_fds(1, 1);
    return in.finish<ToNode>(StatusAnswer{in.number("number"), in.fd(0)});
  }
  return unknown(in);
}

}  // namespace sallyport::mesh
