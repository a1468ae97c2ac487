// links: base http
// First bytes of a connection: what they are, and what a ClientHello says. Any split must lead to
// the same answer, and names never hold bytes that could break a log line.
#include <cstdint>

#include "fuzz_http.h"
#include "http/detect.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport::http;
  const Bytes input{data, size};
  FirstBytes first = FirstBytes::kNeedMore;
  for (size_t i = 0; i <= std::min<size_t>(size, 48); ++i) {
    const FirstBytes now = detect(input.first(i));
    fuzz::check(first == FirstBytes::kNeedMore || now == first, "more bytes change the answer");
    fuzz::check(i < 40 || now != FirstBytes::kNeedMore, "undecided after 40 bytes");
    first = now;
  }
  constexpr size_t kLimit = 16 << 10;
  ClientHelloParser whole(kLimit), parts(kLimit);
  const HelloState state = whole.parse(input);
  HelloState in_parts = HelloState::kNeedMore;
  const size_t step = size / 50 + 1;
  for (size_t i = 0; in_parts == HelloState::kNeedMore && i < size;) {
    i = std::min(size, i + step);
    in_parts = parts.parse(input.first(i));
  }
  fuzz::check(size == 0 || in_parts == state, "pieces change the answer");
  if (state != HelloState::kDone) return 0;
  fuzz::check(first == FirstBytes::kTls, "a ClientHello that is not TLS");
  fuzz::check(whole.hello().server_name == parts.hello().server_name, "another name");
  fuzz::check(whole.hello().alpn.size() <= 64, "too many names");
  for (const char c : whole.hello().server_name)
    fuzz::check(c > 0x20 && c < 0x7f, "an odd byte in the server's name");
  return 0;
}
