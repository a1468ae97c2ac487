// links: base http
// Bytes into an HTTP/1 server, once at once and once in pieces (the first byte says how large): the
// events must be the same. What is accepted is written out by the client and read again by a second
// server, which must see the same requests: nothing may be smuggled through the pair.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "fuzz_http.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport::http;
  if (size == 0) return 0;
  const size_t step = data[0] % 64 + 1;
  const Bytes input{data + 1, size - 1};
  const auto whole = fuzz::serve(input, input.size() + 1);
  const auto parts = fuzz::serve(input, step);
  fuzz::check(whole.log == parts.log, "pieces change the events", whole.log, parts.log);
  fuzz::check(whole.requests == parts.requests, "pieces change what is sent on", whole.requests,
              parts.requests);
  const auto again = fuzz::serve(fuzz::bytes_of(whole.forwarded), whole.forwarded.size() + 1);
  fuzz::check(again.requests == whole.requests, "another reader sees other requests",
              whole.requests, again.requests);
  return 0;
}
