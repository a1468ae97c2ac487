// Looking up what a user names, with an error that helps.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "world/world.h"

namespace sallyport::analysis {

// "TCP", "UDP", "SCTP" or "ICMP"; case counts, so that no name of an object is taken for one.
std::optional<k8s::Protocol> protocol_of(std::string_view text);

// kNotFound names pods that the user may have meant.
Result<const world::Endpoint*> find_pod(const world::World& world, const std::string& ns,
                                        const std::string& name);
Result<const k8s::Service*> find_service(const world::World& world, const std::string& ns,
                                         const std::string& name);

}  // namespace sallyport::analysis
