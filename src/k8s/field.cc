#include "k8s/field.h"

#include <cmath>

#include "codec/json.h"

namespace sallyport::k8s {
namespace {

const codec::Value& null_value() {
  static const codec::Value kNull;
  return kNull;
}

// spec.labels[app.kubernetes.io/name] where a dot would mislead.
std::string join_key(const std::string& path, std::string_view key) {
  bool plain = !key.empty() && key.find_first_of(".[]/ ") == std::string_view::npos;
  if (!plain) return path + "[" + std::string(key.substr(0, 80)) + "]";
  return path.empty() ? std::string(key) : path + "." + std::string(key.substr(0, 80));
}

}  // namespace

void Sink::add(Diagnostic::Severity severity, const codec::Mark& mark, std::string_view path,
               std::string message) {
  if (severity == Diagnostic::Severity::kError) ++errors;
  if (out->size() >= kMost) return;
  out->push_back({severity, {file, mark}, object, std::string(path), std::move(message)});
}

Field Field::operator[](std::string_view name) const {
  const TypeSchema* schema =
      type_.shape == TypeRef::Shape::kOne ? find_type(type_.element) : nullptr;
  const FieldSchema* known = schema ? schema->find(name) : nullptr;
  bool in_map = type_.shape == TypeRef::Shape::kMap;
  if (sink_->trace && !in_map)
    sink_->trace->insert((known ? "" : "?") + std::string(type_.element) + "." + std::string(name));
  Field child;
  child.sink_ = sink_;
  child.value_ = &null_value();
  child.mark_ = mark_;
  child.key_mark_ = mark_;
  child.key_ = name;
  child.path_ = join_key(path_, name);
  child.type_ = parse_type(in_map ? type_.element : known ? known->type : "any");
  for (const codec::Value::Member& member : value_->members()) {
    if (member.key != name) continue;
    child.value_ = &member.value;
    child.mark_ = member.value.mark;
    child.key_mark_ = member.mark;
  }
  return child;
}

std::vector<Field> Field::items() const {
  std::vector<Field> out;
  out.reserve(value_->items().size());
  for (const codec::Value& item : value_->items()) {
    Field child;
    child.sink_ = sink_;
    child.value_ = &item;
    child.mark_ = child.key_mark_ = item.mark;
    child.path_ = path_ + "[" + std::to_string(out.size()) + "]";
    child.type_ = TypeRef{TypeRef::Shape::kOne, false, type_.element};
    out.push_back(std::move(child));
  }
  return out;
}

std::vector<Field> Field::entries() const {
  std::vector<Field> out;
  out.reserve(value_->members().size());
  for (const codec::Value::Member& member : value_->members()) {
    Field child;
    child.sink_ = sink_;
    child.value_ = &member.value;
    child.mark_ = member.value.mark;
    child.key_mark_ = member.mark;
    child.key_ = member.key;
    child.path_ = join_key(path_, member.key);
    child.type_ = TypeRef{TypeRef::Shape::kOne, false, type_.element};
    out.push_back(std::move(child));
  }
  return out;
}

std::optional<int64_t> whole_number(const codec::Value& value) {
  if (value.type() == codec::Value::Type::kInt) return value.as_int();
  if (value.type() != codec::Value::Type::kFloat) return std::nullopt;
  double number = value.as_double();
  if (!(std::fabs(number) < 0x1p53) || number != std::floor(number)) return std::nullopt;
  return static_cast<int64_t>(number);
}

int64_t Field::integer(int64_t fallback) const {
  auto number = whole_number(*value_);
  return number ? *number : fallback;
}

bool Field::boolean(bool fallback) const {
  return value_->type() == codec::Value::Type::kBool ? value_->as_bool() : fallback;
}

std::optional<bool> Field::maybe_boolean() const {
  if (value_->type() != codec::Value::Type::kBool) return std::nullopt;
  return value_->as_bool();
}

std::optional<int64_t> Field::maybe_integer() const {
  return whole_number(*value_);
}

std::vector<std::string> Field::texts() const {
  std::vector<std::string> out;
  for (const codec::Value& item : value_->items()) out.push_back(item.as_string());
  return out;
}

int Field::count(std::initializer_list<std::string_view> names) const {
  int found = 0;
  for (std::string_view name : names) found += (*this)[name].present();
  return found;
}

void Field::error(std::string message) const {
  sink_->add(Diagnostic::Severity::kError, mark_, path_, std::move(message));
}

void Field::error_at_key(std::string message) const {
  sink_->add(Diagnostic::Severity::kError, key_mark_, path_, std::move(message));
}

void Field::warning(std::string message) const {
  sink_->add(Diagnostic::Severity::kWarning, mark_, path_, std::move(message));
}

std::string quoted(std::string_view text) {
  constexpr size_t kMost = 80;
  if (text.size() <= kMost) return codec::quote_json(text);
  return codec::quote_json(std::string(text.substr(0, kMost)) + "...");
}

}  // namespace sallyport::k8s
