// The values of AuthorizationPolicy: their forms, and the keys of `when`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "k8s/field.h"

namespace sallyport::k8s {

enum class ValueForm : uint8_t {
  kAny,             // any text that is not empty
  kGlob,            // exact, "abc*", "*abc", or "*"
  kPath,            // kGlob, or a template with {*} and {**}
  kIpBlock,         // an address or a CIDR
  kPort,            // 0 to 65535
  kTrustDomain,     // kGlob without "/", with at most one "*"
  kServiceAccount,  // NAME or NAMESPACE/NAME, without wildcards
};

// Reports values of a list that have not the form; warns of a "*" that is an ordinary character.
void check_istio_values(const Field& list, ValueForm form);

struct ConditionKey {
  ValueForm form = ValueForm::kAny;
  bool http_only = false;  // has no meaning on plain TCP
  std::string problem;     // no such key, and why
};
ConditionKey find_condition_key(std::string_view key);

// Nothing, or what is wrong with a path of AuthorizationPolicy that holds "{" or "}".
std::string check_path_template(std::string_view path);

}  // namespace sallyport::k8s
