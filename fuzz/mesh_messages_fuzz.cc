// links: base codec mesh
//
// Messages of the control channel, in both directions, with any number of descriptors. What is
// understood must be written again as it was read.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "mesh/messages.h"

namespace {

namespace mesh = sallyport::mesh;
using sallyport::Fd;

std::vector<Fd> some_fds(size_t count) {
  std::vector<Fd> fds;
  for (size_t i = 0; i < count; ++i) fds.emplace_back(::dup(0));
  return fds;
}

template <class Decode>
void check(std::string_view text, size_t count, Decode decode) {
  auto message = decode(text, some_fds(count));
  if (!message) {
    if (message.error().message.empty()) std::abort();
    return;
  }
  mesh::Packet once = mesh::encode_message(*message);
  if (once.fds.size() != count) std::abort();
  auto again = decode(once.text, some_fds(count));
  if (!again || mesh::encode_message(*again).text != once.text) {
    std::fprintf(stderr, "%s\n", once.text.c_str());
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  size_t count = data[0] % 8;
  check(text, count, mesh::decode_to_proxy);
  check(text, count, mesh::decode_to_node);
  return 0;
}
