// Label selectors as apimachinery evaluates them.
#pragma once

#include <string>

#include "k8s/objects.h"

namespace sallyport::k8s {

// NotIn and DoesNotExist match where the key is absent. An empty selector matches everything.
[[nodiscard]] bool matches(const LabelSelector& selector, const Labels& labels);
[[nodiscard]] bool matches(const LabelRequirement& requirement, const Labels& labels);

// For people: "app=web,tier in (a,b),!legacy"; "<all>" for an empty one.
std::string to_string(const LabelSelector& selector);
std::string to_string(const LabelRequirement& requirement);

}  // namespace sallyport::k8s
