#include "codec/value.h"

#include <algorithm>

namespace sallyport::codec {

Value Value::boolean(bool b) {
  Value v;
  v.type_ = Type::kBool;
  v.int_ = b;
  return v;
}

Value Value::integer(int64_t n) {
  Value v;
  v.type_ = Type::kInt;
  v.int_ = n;
  return v;
}

Value Value::floating(double d) {
  Value v;
  v.type_ = Type::kFloat;
  v.double_ = d;
  return v;
}

Value Value::string(std::string_view s) {
  Value v;
  v.type_ = Type::kString;
  v.string_ = s;
  return v;
}

Value Value::list() {
  Value v;
  v.type_ = Type::kList;
  return v;
}

Value Value::map() {
  Value v;
  v.type_ = Type::kMap;
  return v;
}

std::string_view Value::type_name() const {
  switch (type_) {
    case Type::kNull:
      return "null";
    case Type::kBool:
      return "boolean";
    case Type::kInt:
      return "integer";
    case Type::kFloat:
      return "number";
    case Type::kString:
      return "string";
    case Type::kList:
      return "list";
    case Type::kMap:
      return "map";
  }
  return "?";
}

double Value::as_double() const {
  if (type_ == Type::kFloat) return double_;
  return type_ == Type::kInt ? static_cast<double>(int_) : 0;
}

const Value* Value::find(std::string_view key) const {
  for (const Member& member : members_)
    if (member.key == key) return &member.value;
  return nullptr;
}

Value* Value::find(std::string_view key) {
  for (Member& member : members_)
    if (member.key == key) return &member.value;
  return nullptr;
}

const Value& Value::operator[](std::string_view key) const {
  static const Value kNull;
  const Value* found = find(key);
  return found ? *found : kNull;
}

Value& Value::set(std::string_view key, Value value) {
  type_ = Type::kMap;
  if (Value* found = find(key)) return *found = std::move(value);
  members_.push_back(Member{std::string(key), std::move(value), {}});
  return members_.back().value;
}

Value& Value::set(std::string_view key, std::string_view text) {
  return set(key, string(text));
}

void Value::erase(std::string_view key) {
  std::erase_if(members_, [&](const Member& member) { return member.key == key; });
}

Value& Value::push(Value value) {
  type_ = Type::kList;
  items_.push_back(std::move(value));
  return items_.back();
}

}  // namespace sallyport::codec
