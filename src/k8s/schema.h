// The fields of every type that Sallyport reads, as tables: name, type, and what the standalone
// node does with it. One table drives the check of unknown fields and types, the node's refusals
// and warnings, and docs/reference/pod-fields.md; so none of them can leave a field out.
//
// Type expressions: a format ("string", "int32", "dnsLabel", "enum:A|B", ...; see shape.cc), the
// name of another table, "[]T", or "map[]T"; a "!" at the end marks a required field.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace sallyport::k8s {

// What the standalone node does with a field.
enum class Use : uint8_t {
  kApplied,
  kIgnored,  // accepted with a warning; `note` says why it has no effect
  kRefused,  // an error, because running without it would mislead; `note` says why
};

struct FieldSchema {
  std::string_view name;
  std::string_view type;
  Use use = Use::kApplied;
  std::string_view note = {};
  // Ignored and refused fields are accepted silently with this value (besides null, false, "" and
  // empty lists and maps), because the node behaves as it says anyway.
  std::string_view harmless = {};
};

struct TypeSchema {
  std::string_view name;
  std::span<const FieldSchema> fields;
  [[nodiscard]] const FieldSchema* find(std::string_view field) const;
};

// A parsed type expression.
struct TypeRef {
  enum class Shape { kOne, kList, kMap };
  Shape shape = Shape::kOne;
  bool required = false;
  std::string_view element;  // the type of one, of each item, of each value
};
TypeRef parse_type(std::string_view expression);

// Null where there is no such table (a format).
const TypeSchema* find_type(std::string_view name);
std::span<const TypeSchema* const> all_types();

// The tables by group; each is defined in its own file.
std::span<const TypeSchema> meta_types();
std::span<const TypeSchema> pod_types();
std::span<const TypeSchema> container_types();
std::span<const TypeSchema> volume_types();
std::span<const TypeSchema> scheduling_types();
std::span<const TypeSchema> workload_types();
std::span<const TypeSchema> service_types();
std::span<const TypeSchema> policy_types();
std::span<const TypeSchema> istio_types();

}  // namespace sallyport::k8s
