// links: gate
// Every way to begin a TCP connection where TLS is demanded, by an initiator that sends what it
// likes: each byte of the input is one choice of the model in gate/tls_model.h. Nothing that does
// not begin as a ClientHello may reach the responder's application.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "gate/tls_model.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  size_t at = 0;
  const auto choose = [&](uint32_t n) -> uint32_t { return at < size ? data[at++] % n : 0; };
  sallyport::gate::TlsModel model(choose, true);
  constexpr int kMostSteps = 400;
  for (int i = 0; i < kMostSteps && at < size; ++i) {
    model.step();
    if (model.broken().empty()) continue;
    std::fprintf(stderr, "tls_begin_fuzz: %s\n", model.broken().c_str());
    std::abort();
  }
  return 0;
}
