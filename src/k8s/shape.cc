#include "k8s/shape.h"

#include <array>
#include <limits>
#include <map>

#include "base/ip.h"
#include "base/strings.h"
#include "codec/base64.h"
#include "k8s/formats.h"
#include "k8s/quantity.h"

namespace sallyport::k8s {
namespace {

using codec::Value;

std::string shown(const Value& value) {
  switch (value.type()) {
    case Value::Type::kBool:
      return value.as_bool() ? "the boolean true" : "the boolean false";
    case Value::Type::kInt:
      return "the integer " + std::to_string(value.as_int());
    case Value::Type::kFloat:
      return "a number that is not an integer";
    case Value::Type::kString:
      return "the string " + quoted(value.as_string());
    case Value::Type::kList:
      return "a list";
    case Value::Type::kMap:
      return "a map";
    case Value::Type::kNull:
      return "null";
  }
  return "?";
}

std::string not_the_type(const Value& value, std::string_view expected) {
  std::string text = "expected " + std::string(expected) + ", got " + shown(value);
  bool quotable = value.type() == Value::Type::kBool || value.type() == Value::Type::kInt ||
                  value.type() == Value::Type::kFloat;
  // YAML 1.1 reads yes, on, 010 and 1e3 as something else than text.
  if (expected.starts_with("a string") && quotable)
    text += "; put it in quotes if it is meant as text";
  if (expected == "true or false" && value.is_string()) text += "; write it without quotes";
  if (expected.starts_with("an integer") && value.is_string() &&
      parse_number<int64_t>(value.as_string()))
    text += "; write it without quotes";
  return text;
}

struct IntegerFormat {
  std::string_view name;
  int64_t least;
  int64_t most;
};
constexpr int64_t kMost32 = std::numeric_limits<int32_t>::max();
constexpr int64_t kMost64 = std::numeric_limits<int64_t>::max();
constexpr std::array kIntegers{
    IntegerFormat{"int32", std::numeric_limits<int32_t>::min(), kMost32},
    IntegerFormat{"int64", std::numeric_limits<int64_t>::min(), kMost64},
    IntegerFormat{"nonNegative", 0, kMost32},
    IntegerFormat{"nonNegative64", 0, kMost64},
    IntegerFormat{"positive", 1, kMost32},
    IntegerFormat{"port", 1, 65535},
    IntegerFormat{"userId", 0, kMost32},
    IntegerFormat{"fileMode", 0, 0777},
    IntegerFormat{"affinitySeconds", 1, 86400},
    IntegerFormat{"weight", 1, 100},
    IntegerFormat{"cnpPriority", 0, 1000},
};

// Nothing: fits. What the type check lets through as a string may still be of a wrong form.
using StringFormat = FormatError (*)(std::string_view);
FormatError any_string(std::string_view) {
  return std::nullopt;
}
FormatError check_quantity(std::string_view text) {
  auto value = parse_quantity_milli(text);
  if (!value) return "expected a quantity such as 100m, 0.5, 128Mi or 2G";
  if (*value < 0) return "expected a quantity that is not negative";
  return std::nullopt;
}
FormatError check_base64(std::string_view text) {
  if (codec::decode_base64(text)) return std::nullopt;
  return "expected base64 (plain text belongs into stringData)";
}
FormatError check_ip(std::string_view text) {
  if (Ip::parse(text)) return std::nullopt;
  return "expected an IP address such as 198.18.0.1 or fd00::1";
}

constexpr std::array<std::pair<std::string_view, StringFormat>, 18> kStrings{{
    {"string", any_string},
    {"dnsLabel", check_dns_label},
    {"dnsSubdomain", check_dns_subdomain},
    {"labelKey", check_label_key},
    {"labelValue", check_label_value},
    {"portName", check_port_name},
    {"configKey", check_config_key},
    {"envName", check_env_name},
    {"relativePath", check_relative_path},
    {"absolutePath", check_absolute_path},
    {"headerName", check_header_name},
    {"time", check_rfc3339},
    {"quantity", check_quantity},
    {"base64", check_base64},
    {"ip", check_ip},
    {"domainPattern", check_domain_pattern},
    {"cidr", any_string},     // its decoder checks it, with the rules of its kind
    {"protocol", any_string}  // likewise an enum
}};

// Quantities may be written as numbers: cpu: 1.
bool is_number(const Value& value) {
  return value.type() == Value::Type::kInt || value.type() == Value::Type::kFloat;
}

void check_enum(const Field& field, std::string_view choices) {
  if (!field.value().is_string()) {
    field.error(not_the_type(field.value(), "a string"));
    return;
  }
  std::vector<std::string> words = split(choices, '|');
  for (const std::string& word : words)
    if (word == field.text()) return;
  field.error(quoted(field.text()) + " is not supported, expected " + join(words, " or "));
}

void check_int_or_string(const Field& field) {
  const Value& value = field.value();
  if (value.is_string()) return;
  auto number = whole_number(value);
  if (!number) {
    field.error(not_the_type(value, "an integer or a string"));
  } else if (*number < std::numeric_limits<int32_t>::min() || *number > kMost32) {
    field.error(std::to_string(*number) + " does not fit 32 bits");
  }
}

void check_format(const Field& field, std::string_view format) {
  const Value& value = field.value();
  if (format == "any") return;
  if (format == "object") {
    if (!value.is_map()) field.error(not_the_type(value, "a map"));
    return;
  }
  if (format == "bool") {
    if (value.type() != Value::Type::kBool) field.error(not_the_type(value, "true or false"));
    return;
  }
  if (format == "intOrString") return check_int_or_string(field);
  if (format.starts_with("enum:")) return check_enum(field, format.substr(5));
  if (format == "protocol") return check_enum(field, "TCP|UDP|SCTP");
  for (const IntegerFormat& integer : kIntegers) {
    if (integer.name != format) continue;
    auto number = whole_number(value);
    if (!number)
      field.error(not_the_type(value, "an integer"));
    else if (*number < integer.least || *number > integer.most)
      field.error(std::to_string(*number) + " is out of range, expected " +
                  std::to_string(integer.least) + " to " + std::to_string(integer.most));
    return;
  }
  for (const auto& [name, check] : kStrings) {
    if (name != format) continue;
    if (name == "quantity" && is_number(value)) {
      if (value.as_double() < 0) field.error("expected a quantity that is not negative");
    } else if (!value.is_string()) {
      field.error(not_the_type(value, "a string"));
    } else if (auto wrong = check(value.as_string())) {
      // An empty text is "not set" for optional fields; the required ones are checked elsewhere.
      if (!value.as_string().empty()) field.error(quoted(value.as_string()) + ": " + *wrong);
    }
    return;
  }
}

void check_table(const Field& field, const TypeSchema& schema) {
  const Value& value = field.value();
  if (!value.is_map()) {
    field.error(not_the_type(value, "a map"));
    return;
  }
  for (const Field& entry : field.entries()) {
    if (schema.find(entry.key())) continue;
    // Hints help in a file with a few slips, and cost too much in one that is all wrong.
    constexpr size_t kMostHints = 50;
    std::vector<std::string_view> names;
    if (field.sink().errors < kMostHints)
      for (const FieldSchema& known : schema.fields) names.push_back(known.name);
    std::string near = nearest_word(entry.key(), names);
    entry.error_at_key("unknown field " + quoted(entry.key()) +
                       (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
  }
  for (const FieldSchema& known : schema.fields) {
    const Value* member = value.find(known.name);
    bool required = known.type.ends_with('!');
    if (!member && !required) continue;
    Field child = field[known.name];
    bool empty = !child.present() || (child.value().is_string() && child.text().empty()) ||
                 (child.value().is_list() && child.value().items().empty());
    if (required && empty)
      child.error(member ? "is empty; it is required" : "is missing; it is required");
    else if (member)
      check_shape(child);
  }
}

void check_labels(const Field& field) {
  if (!field.value().is_map()) {
    field.error(not_the_type(field.value(), "a map of strings"));
    return;
  }
  for (const Field& entry : field.entries()) {
    if (auto wrong = check_label_key(entry.key()))
      entry.error_at_key("label key " + quoted(entry.key()) + ": " + *wrong);
    if (entry.present() && !entry.value().is_string())
      entry.error(not_the_type(entry.value(), "a string"));
    else if (auto bad = check_label_value(entry.text()))
      entry.error("label value " + quoted(entry.text()) + ": " + *bad);
  }
}

}  // namespace

bool is_format(std::string_view name) {
  for (std::string_view plain : {"any", "object", "bool", "intOrString", "labels"})
    if (name == plain) return true;
  if (name.starts_with("enum:")) return true;
  for (const IntegerFormat& integer : kIntegers)
    if (integer.name == name) return true;
  for (const auto& [format, check] : kStrings)
    if (format == name) return true;
  return false;
}

void check_shape(const Field& field) {
  if (!field.present()) return;  // null is the same as absent
  const TypeRef& type = field.type();
  switch (type.shape) {
    case TypeRef::Shape::kList:
      if (!field.value().is_list()) {
        field.error(not_the_type(field.value(), "a list"));
        return;
      }
      for (const Field& item : field.items()) {
        // In Go, null in a list is the type's zero value, which no validation here lets through
        // except empty text.
        if (!item.present() && find_type(type.element))
          item.error("expected a map, got null");
        else
          check_shape(item);
      }
      return;
    case TypeRef::Shape::kMap:
      if (!field.value().is_map()) {
        field.error(not_the_type(field.value(), "a map"));
        return;
      }
      for (const Field& entry : field.entries()) check_shape(entry);
      return;
    case TypeRef::Shape::kOne:
      break;
  }
  if (type.element == "labels") return check_labels(field);
  if (const TypeSchema* schema = find_type(type.element)) return check_table(field, *schema);
  check_format(field, type.element);
}

}  // namespace sallyport::k8s
