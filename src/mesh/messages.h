// The messages of the control channel as text: one JSON object with a member "type", the
// descriptors beside it in a fixed order. Internal to this module, apart from its fuzzer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mesh/channel.h"

namespace sallyport::mesh {

// With one message. The kernel's own limit is 253 (SCM_MAX_FD).
inline constexpr size_t kMostDescriptors = 200;

// The descriptors still belong to the message that was encoded.
struct Packet {
  std::string text;
  std::vector<int> fds;
};

Packet encode_message(const ToProxy& message);
Packet encode_message(const ToNode& message);

// kInvalid: unknown type, a member that is missing, of another type or out of range, or another
// number of descriptors than the type has.
Result<ToProxy> decode_to_proxy(std::string_view text, std::vector<Fd> fds);
Result<ToNode> decode_to_node(std::string_view text, std::vector<Fd> fds);

}  // namespace sallyport::mesh
