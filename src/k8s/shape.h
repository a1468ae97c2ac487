// Checks a value against its type table: unknown fields, wrong types, formats, missing fields.
#pragma once

#include "k8s/field.h"

namespace sallyport::k8s {

void check_shape(const Field& field);

// Is it the name of a format, as type expressions use them?
[[nodiscard]] bool is_format(std::string_view name);

}  // namespace sallyport::k8s
