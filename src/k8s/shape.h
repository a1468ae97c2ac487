// Checks a value against its type table: unknown fields, wrong types, formats, missing fields.
#pragma once

#include "k8s/field.h"

namespace sallyport::k8s {

void check_shape(const Field& field);

}  // namespace sallyport::k8s
