// RFC 8259 JSON: a strict reader (duplicate keys are errors, bounded depth and size) and a writer.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "codec/value.h"
#include "codec/yaml.h"

namespace sallyport::codec {

Result<Value> parse_json(std::string_view text, size_t max_bytes = 16 << 20, int max_depth = 100);

// The same, with the place of the error apart from its text.
std::expected<Value, TextError> parse_json_marked(std::string_view text,
                                                  size_t max_bytes = 16 << 20, int max_depth = 100);

// indent 0: one line without spaces; otherwise pretty-printed. NaN and infinities, which JSON
// cannot express, become null.
std::string write_json(const Value& value, int indent = 0);

// `text` with quotes, escaped; invalid UTF-8 becomes U+FFFD.
std::string quote_json(std::string_view text);

}  // namespace sallyport::codec
