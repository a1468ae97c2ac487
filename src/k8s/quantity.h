// Resource quantities ("100m", "128Mi", "1e3") as apimachinery's resource.Quantity reads them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace sallyport::k8s {

// The value in thousandths, rounded up; saturates at the limits of 64 bits. Nothing where `text` is
// not a quantity.
std::optional<int64_t> parse_quantity_milli(std::string_view text);

// The value in whole units, rounded up; saturates likewise.
std::optional<int64_t> parse_quantity(std::string_view text);

}  // namespace sallyport::k8s
