// A stable number for the content of a rule: it changes where the meaning may change, and is the
// same on every machine, so that rule ids can be kept on disk.
#pragma once

#include <cstdint>

#include "k8s/objects.h"

namespace sallyport::policy {

uint64_t rule_hash(const k8s::NetworkPolicyRule& rule);
uint64_t rule_hash(const k8s::CnpRule& rule);

}  // namespace sallyport::policy
