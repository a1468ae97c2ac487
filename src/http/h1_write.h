// Heads and chunks of HTTP/1, written into a buffer.
#pragma once

#include "http/buffer.h"
#include "http/message.h"

namespace sallyport::http::h1 {

// How the message that follows a head is framed on the wire.
enum class BodyFraming : uint8_t { kNone, kLength, kChunked, kUntilClose, kTunnel };

// Writes the head and answers how its body has to be written.
BodyFraming write_request(const RequestHead& head, bool end, ByteBuffer& out);

struct ResponseRules {
  bool head_request = false;
  bool old_client = false;  // HTTP/1.0: no chunks, and keep-alive has to be said
  bool close = false;
};
BodyFraming write_response(const ResponseHead& head, const ResponseRules& rules, ByteBuffer& out);

void write_chunk(Bytes bytes, ByteBuffer& out);  // nothing for no bytes
void write_last_chunk(const HeaderList* trailers, ByteBuffer& out);

// The body of one outgoing message.
class BodyWriter {
 public:
  void start(BodyFraming framing, uint64_t length);
  // False: more bytes than were declared, or an end before all of them; the connection is lost.
  [[nodiscard]] bool write(Bytes bytes, bool end, ByteBuffer& out);
  [[nodiscard]] bool write_trailers(const HeaderList& trailers, ByteBuffer& out);
  [[nodiscard]] BodyFraming framing() const { return framing_; }

 private:
  BodyFraming framing_ = BodyFraming::kNone;
  uint64_t left_ = 0;
};

}  // namespace sallyport::http::h1
