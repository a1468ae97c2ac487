#include "http/h1_write.h"

#include <sys/random.h>

#include <array>
#include <charconv>
#include <cstring>

#include "http/syntax.h"

namespace sallyport::http::h1 {
namespace {

// Writes into room that was asked for at once: one check for a whole head.
class Writer {
 public:
  Writer(ByteBuffer& out, size_t most) : out_(out), begin_(out.prepare(most).data()), at_(begin_) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() { out_.commit(static_cast<size_t>(at_ - begin_)); }

  void put(std::string_view text) {
    if (text.empty()) return;
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void put_number(uint64_t value) {
    char* text = reinterpret_cast<char*>(at_);
    at_ = reinterpret_cast<uint8_t*>(std::to_chars(text, text + 20, value).ptr);
  }
  void field(std::string_view name, std::string_view value) {
    put(name);
    put(": ");
    put(value);
    put("\r\n");
  }
  void number_field(std::string_view name, uint64_t value) {
    put(name);
    put(": ");
    put_number(value);
    put("\r\n");
  }
  void fields(const HeaderList& headers) {
    for (size_t i = 0; i < headers.size(); ++i) {
      const Field f = headers[i];
      // The codec's own fields are never taken from the list; nothing there could be right.
      if (is_hop_by_hop(f.name) || f.name == "content-length" || f.name == "host") continue;
      field(f.name, f.value);
    }
  }

 private:
  ByteBuffer& out_;
  uint8_t* begin_;
  uint8_t* at_;
};

// RFC 6455 section 4.1: 16 random bytes in Base64. WebSocket over HTTP/2 has no such field.
std::array<char, 24> websocket_key() {
  std::array<uint8_t, 18> random{};
  if (::getrandom(random.data(), 16, 0) != 16) random.fill(0x5a);  // not a secret
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<char, 24> out{};
  for (size_t i = 0, o = 0; i < 18; i += 3, o += 4) {
    const uint32_t v = static_cast<uint32_t>(random[i] << 16 | random[i + 1] << 8 | random[i + 2]);
    for (size_t k = 0; k < 4; ++k) out[o + k] = digits[v >> (18 - 6 * k) & 63];
  }
  out[22] = out[23] = '=';
  return out;
}

size_t room_for(const HeaderList& headers) {
  return headers.bytes() + headers.size() * 4 + 512;
}

}  // namespace

BodyFraming write_request(const RequestHead& head, bool end, ByteBuffer& out) {
  Writer w(out, room_for(head.headers) + head.method.size() + head.target.size() +
                    head.authority.size() + head.upgrade.size());
  w.put(head.method);
  w.put(" ");
  w.put(head.target);
  w.put(" HTTP/1.1\r\n");
  w.field("host", head.authority);
  w.fields(head.headers);
  auto framing = BodyFraming::kNone;
  if (head.body == Body::kTunnel) {
    w.field("connection", "upgrade");
    w.field("upgrade", head.upgrade);
    if (!head.headers.has("sec-websocket-key")) {
      const auto key = websocket_key();
      w.field("sec-websocket-key", {key.data(), key.size()});
    }
    framing = BodyFraming::kTunnel;
  } else if (end || head.body == Body::kNone) {
    if (head.method == "POST" || head.method == "PUT" || head.method == "PATCH")
      w.field("content-length", "0");
  } else if (head.body == Body::kLength) {
    w.number_field("content-length", head.content_length);
    framing = BodyFraming::kLength;
  } else {
    w.field("transfer-encoding", "chunked");
    framing = BodyFraming::kChunked;
  }
  w.put("\r\n");
  return framing;
}

BodyFraming write_response(const ResponseHead& head, const ResponseRules& rules, ByteBuffer& out) {
  const std::string_view phrase = reason_phrase(head.status);
  Writer w(out, room_for(head.headers) + phrase.size());
  w.put("HTTP/1.1 ");
  w.put_number(head.status);
  w.put(" ");
  w.put(phrase);
  w.put("\r\n");
  w.fields(head.headers);
  auto framing = BodyFraming::kNone;
  const bool final = head.status >= 200;
  if (head.status == 101) {
    w.field("connection", "upgrade");
    w.field("upgrade", "websocket");
    framing = BodyFraming::kTunnel;
  } else if (!final || head.status == 204) {
    // Never a length.
  } else if (rules.head_request || head.status == 304) {
    if (head.has_length || head.body == Body::kLength)
      w.number_field("content-length", head.content_length);
  } else if (head.body == Body::kNone) {
    w.field("content-length", "0");
  } else if (head.body == Body::kLength) {
    w.number_field("content-length", head.content_length);
    framing = BodyFraming::kLength;
  } else if (rules.old_client) {
    framing = BodyFraming::kUntilClose;
  } else {
    w.field("transfer-encoding", "chunked");
    framing = BodyFraming::kChunked;
  }
  if (final) {
    if (rules.close || framing == BodyFraming::kUntilClose)
      w.field("connection", "close");
    else if (rules.old_client)
      w.field("connection", "keep-alive");
  }
  w.put("\r\n");
  return framing;
}

void write_chunk(Bytes bytes, ByteBuffer& out) {
  if (bytes.empty()) return;
  char line[20];
  char* end = std::to_chars(line, line + 16, bytes.size(), 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out.append(line, static_cast<size_t>(end - line));
  out.append(bytes);
  out.append("\r\n");
}

void write_last_chunk(const HeaderList* trailers, ByteBuffer& out) {
  out.append("0\r\n");
  if (trailers != nullptr)
    for (size_t i = 0; i < trailers->size(); ++i) {
      const Field f = (*trailers)[i];
      if (is_forbidden_trailer(f.name)) continue;
      out.append(f.name);
      out.append(": ");
      out.append(f.value);
      out.append("\r\n");
    }
  out.append("\r\n");
}

void BodyWriter::start(BodyFraming framing, uint64_t length) {
  framing_ = framing;
  left_ = framing == BodyFraming::kLength ? length : 0;
}

bool BodyWriter::write(Bytes bytes, bool end, ByteBuffer& out) {
  switch (framing_) {
    case BodyFraming::kNone:
      return true;  // an answer to HEAD and the like: dropped
    case BodyFraming::kLength:
      if (bytes.size() > left_) return false;
      left_ -= bytes.size();
      out.append(bytes);
      return !end || left_ == 0;
    case BodyFraming::kChunked:
      write_chunk(bytes, out);
      if (end) write_last_chunk(nullptr, out);
      return true;
    case BodyFraming::kUntilClose:
    case BodyFraming::kTunnel:
      out.append(bytes);
      return true;
  }
  return false;
}

bool BodyWriter::write_trailers(const HeaderList& trailers, ByteBuffer& out) {
  if (framing_ != BodyFraming::kChunked) return write({}, true, out);  // no place for them
  write_last_chunk(&trailers, out);
  return true;
}

}  // namespace sallyport::http::h1
