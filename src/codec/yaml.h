// YAML text to values, as kubectl reads it (sigs.k8s.io/yaml): several documents, YAML 1.1 booleans
// (yes, no, on, off), octal and hexadecimal numbers, anchors and aliases. Stricter than kubectl in
// three points, because a reader that guesses must not decide who may talk to whom: duplicate keys
// are errors, so is a merge key that would overwrite a key above it (the YAML specification and
// kubectl disagree which one wins), and so are control characters and unusual line breaks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "codec/value.h"

namespace sallyport::codec {

struct YamlLimits {
  size_t bytes = 16 << 20;           // of the text
  size_t nodes = 1'000'000;          // after aliases are expanded (billion laughs)
  size_t expanded_bytes = 64 << 20;  // of all scalars, after aliases are expanded
  int depth = 100;
};

// Where the text is wrong. Lines count from 1, columns from 1 in bytes.
struct TextError {
  Mark mark;
  std::string message;
};
using YamlError = TextError;

// The documents in order; an empty document is a null value. On error, nothing.
std::expected<std::vector<Value>, YamlError> parse_yaml(std::string_view text,
                                                        const YamlLimits& limits = {});

// Block style, keys in their order; strings are quoted where a YAML 1.1 reader would misread them.
std::string write_yaml(const Value& value);

}  // namespace sallyport::codec
