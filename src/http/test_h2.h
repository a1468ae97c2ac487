// A client and a server of HTTP/2 joined in memory, and raw frames for tests of limits.
#pragma once

#include "http/test_codec.h"

namespace sallyport::http::testing {

struct Pair {
  explicit Pair(const ServerOptions& server_options = {.extended_connect = true},
                const ClientOptions& client_options = {}) {
    server = make_h2_server(server_side.context(), server_host, server_options);
    client = make_h2_client(client_side.context(), client_host, client_options);
  }
  // Moves bytes until nothing moves any more.
  void run() {
    for (int i = 0; i < 1000; ++i) {
      client->collect(now);
      server->collect(now);
      const std::string up = client_side.take(), down = server_side.take();
      client->drained();
      server->drained();
      if (up.empty() && down.empty()) return;
      server_side.feed(*server, up, now);
      client_side.feed(*client, down, now);
      sent_up += up;
      sent_down += down;
    }
    ADD_FAILURE() << "bytes went back and forth without end";
  }

  Monotonic now = at_seconds(0);
  Side server_side, client_side;
  ServerRecorder server_host;
  ClientRecorder client_host;
  std::unique_ptr<Codec> server;
  std::unique_ptr<ClientCodec> client;
  std::string sent_up, sent_down;
};

inline std::string frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string f;
  for (const uint32_t b :
       {static_cast<uint32_t>(payload.size() >> 16), static_cast<uint32_t>(payload.size() >> 8),
        static_cast<uint32_t>(payload.size()), static_cast<uint32_t>(type),
        static_cast<uint32_t>(flags), stream >> 24, stream >> 16, stream >> 8, stream})
    f += static_cast<char>(b & 0xff);
  return f + std::string(payload);
}

// A literal field without indexing and without Huffman coding.
inline std::string hpack(std::string_view name, std::string_view value) {
  std::string out("\0", 1);
  for (const std::string_view text : {name, value}) {
    size_t size = text.size();
    if (size < 127) {
      out += static_cast<char>(size);
    } else {
      out += static_cast<char>(127);
      for (size -= 127; size >= 128; size /= 128) out += static_cast<char>(128 + size % 128);
      out += static_cast<char>(size);
    }
    out += text;
  }
  return out;
}

inline std::string get_fields(std::string_view path = "/") {
  return hpack(":method", "GET") + hpack(":scheme", "http") + hpack(":authority", "web") +
         hpack(":path", path);
}

inline std::string headers_frame(uint32_t stream, std::string_view block, bool end = true) {
  return frame(1, static_cast<uint8_t>(0x4 | (end ? 0x1 : 0)), stream, block);
}

// A server that is fed raw frames.
struct RawServer {
  explicit RawServer(const Limits& limits = {}, const ServerOptions& options = {}) {
    side.limits = limits;
    server = make_h2_server(side.context(), host, options);
    feed("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, ""));
    written.clear();
  }
  void feed(std::string_view bytes) {
    // As an owner does: again in the next turn, while the codec asks for it.
    side.feed(*server, bytes, now);
    for (int i = 0; i < 1000 && host.inputs != inputs_seen; ++i) {
      inputs_seen = host.inputs;
      if (read_answers) collect();
      side.feed(*server, "", now);
    }
    if (read_answers) collect();
  }
  void collect() {
    server->collect(now);
    written += side.take();
    server->drained();
  }
  // The types of the frames written since the start, as digits; "7" is GOAWAY.
  std::string frames() const {
    std::string types;
    for (size_t at = 0; at + 9 <= written.size();) {
      const auto byte = [&](size_t i) { return static_cast<uint8_t>(written[at + i]); };
      types += static_cast<char>('0' + byte(3));
      at += 9 + static_cast<size_t>(byte(0) << 16 | byte(1) << 8 | byte(2));
    }
    return types;
  }
  [[nodiscard]] uint64_t count(Counter counter) const { return side.counters.get(counter); }

  Monotonic now = at_seconds(0);
  Side side;
  ServerRecorder host;
  std::unique_ptr<Codec> server;
  std::string written;
  int inputs_seen = 0;
  bool read_answers = true;
};

}  // namespace sallyport::http::testing
