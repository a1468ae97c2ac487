// What a plain YAML scalar means: the rules of sigs.k8s.io/yaml, which are YAML 1.1's with
// booleans such as yes and off, octal numbers with a leading 0 or 0o, and digits with underscores.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "codec/value.h"

namespace sallyport::codec {

Value resolve_plain(std::string_view text);

// A scalar with an explicit tag ("tag:yaml.org,2002:int" or any other); the error says what the
// text is instead.
std::expected<Value, std::string> resolve_tagged(std::string_view tag, std::string_view text);

// Would `text`, written without quotes, come back as this very string on one line?
[[nodiscard]] bool is_safe_plain(std::string_view text);

}  // namespace sallyport::codec
