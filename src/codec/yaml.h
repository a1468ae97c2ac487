// YAML text to values, as kubectl reads it: several documents, YAML 1.1 booleans (yes, no, on, off)
// and octal numbers, anchors and aliases; duplicate keys are errors, merge keys are expanded.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "codec/value.h"

namespace sallyport::codec {

struct YamlLimits {
  size_t bytes = 16 << 20;    // of the text
  size_t nodes = 1'000'000;   // after aliases are expanded (billion laughs)
  int depth = 100;
};

struct YamlError {
  Mark mark;
  std::string message;
};

// The documents in order; an empty document is a null value. On error, nothing.
std::expected<std::vector<Value>, YamlError> parse_yaml(std::string_view text,
                                                        const YamlLimits& limits = {});

// Block style, keys in their order; strings are quoted where a YAML 1.1 reader would misread them.
std::string write_yaml(const Value& value);

}  // namespace sallyport::codec
