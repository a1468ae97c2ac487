// links: base codec k8s world mesh
//
// The configuration of a proxy. What is understood must be written and read again as the same, or
// be refused: never half-read.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "mesh/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto config = sallyport::mesh::decode({reinterpret_cast<const char*>(data), size});
  if (!config) {
    if (config.error().message.empty()) std::abort();
    return 0;
  }
  std::string once = sallyport::mesh::encode(*config);
  auto again = sallyport::mesh::decode(once);
  if (!again) {
    std::fprintf(stderr, "%s\n%s\n", again.error().message.c_str(), once.c_str());
    std::abort();
  }
  if (sallyport::mesh::encode(*again) != once) std::abort();
  return 0;
}
