// A place in a manifest while it is decoded: the value, its path, its mark and its type. Fields are
// walked like maps (field["spec"]["ports"]); what is absent or of the wrong type reads as empty,
// because check_shape has reported the latter already.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "codec/value.h"
#include "k8s/manifest.h"
#include "k8s/schema.h"

namespace sallyport::k8s {

// Where the diagnostics of one object go.
struct Sink {
  std::string file;
  std::string object;  // "Kind/ns/name"
  std::vector<Diagnostic>* out = nullptr;
  size_t errors = 0;
  // For tests: every "Type.field" that a decoder looked at. "?" before those without a schema.
  std::set<std::string>* trace = nullptr;

  // A file with very many mistakes is wrong as a whole: the first ones help, and the list must not
  // grow without bound. Later ones are only counted.
  static constexpr size_t kMost = 1000;

  void add(Diagnostic::Severity severity, const codec::Mark& mark, std::string_view path,
           std::string message);
};

class Field {
 public:
  Field(Sink& sink, const codec::Value& value, std::string_view type)
      : sink_(&sink), value_(&value), mark_(value.mark), type_(parse_type(type)) {}

  // A member. Where it is absent, the mark is that of this map.
  [[nodiscard]] Field operator[](std::string_view name) const;
  [[nodiscard]] std::vector<Field> items() const;    // of a list
  [[nodiscard]] std::vector<Field> entries() const;  // of a map: key() and value

  [[nodiscard]] bool present() const { return !value_->is_null(); }
  [[nodiscard]] const codec::Value& value() const { return *value_; }
  [[nodiscard]] const std::string& text() const { return value_->as_string(); }
  [[nodiscard]] int64_t integer(int64_t fallback = 0) const;
  [[nodiscard]] int number(int fallback = 0) const { return static_cast<int>(integer(fallback)); }
  [[nodiscard]] bool boolean(bool fallback = false) const;
  [[nodiscard]] std::optional<bool> maybe_boolean() const;
  [[nodiscard]] std::optional<int64_t> maybe_integer() const;
  [[nodiscard]] std::vector<std::string> texts() const;  // of a list of strings
  // The number of the listed members that are present.
  [[nodiscard]] int count(std::initializer_list<std::string_view> names) const;

  [[nodiscard]] const std::string& key() const { return key_; }
  [[nodiscard]] const codec::Mark& mark() const { return mark_; }
  [[nodiscard]] const codec::Mark& key_mark() const { return key_mark_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const TypeRef& type() const { return type_; }
  [[nodiscard]] Sink& sink() const { return *sink_; }

  void error(std::string message) const;         // at the value
  void error_at_key(std::string message) const;  // at the key
  void warning(std::string message) const;       // at the value

 private:
  Field() = default;

  Sink* sink_ = nullptr;
  const codec::Value* value_ = nullptr;
  codec::Mark mark_;
  codec::Mark key_mark_;
  std::string key_;
  std::string path_;
  TypeRef type_;
};

// "\"text\"" for messages; long texts are cut.
std::string quoted(std::string_view text);

// Is it a whole number, as JSON writes numbers (80.0 is 80)?
std::optional<int64_t> whole_number(const codec::Value& value);

}  // namespace sallyport::k8s
