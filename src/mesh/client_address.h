// The address of the client behind trusted proxies.
#pragma once

#include <span>

#include "authz/facts.h"
#include "base/ip.h"

namespace sallyport::mesh {

// With no trusted proxy the direct peer. With N of them each has appended the address that it saw
// to x-forwarded-for, so the client is the Nth entry from the right; what stands left of it is the
// client's own claim. Fewer entries, or one that is no address: the direct peer.
[[nodiscard]] Ip client_address(std::span<const authz::HeaderField> headers, const Ip& peer,
                                int trusted_proxies);

}  // namespace sallyport::mesh
