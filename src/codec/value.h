// A JSON-like tree in which every node knows where it stood in its file. YAML and JSON are both
// parsed into it; typed objects are decoded from it, and it is written out again as JSON or YAML.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sallyport::codec {

// 1-based; 0 means unknown (a value that was made, not parsed).
struct Mark {
  int line = 0;
  int column = 0;
};

class Value {
 public:
  enum class Type { kNull, kBool, kInt, kFloat, kString, kList, kMap };
  struct Member;

  Value();
  Value(const Value&);
  Value(Value&&) noexcept;
  Value& operator=(const Value&);
  Value& operator=(Value&&) noexcept;
  ~Value();
  static Value boolean(bool b);
  static Value integer(int64_t n);
  static Value floating(double d);
  static Value string(std::string_view s);
  static Value list();
  static Value map();

  [[nodiscard]] Type type() const { return type_; }
  [[nodiscard]] bool is_null() const { return type_ == Type::kNull; }
  [[nodiscard]] bool is_string() const { return type_ == Type::kString; }
  [[nodiscard]] bool is_list() const { return type_ == Type::kList; }
  [[nodiscard]] bool is_map() const { return type_ == Type::kMap; }
  // "null", "boolean", "integer", "number", "string", "list", "map": for error texts.
  [[nodiscard]] std::string_view type_name() const;

  // The value where the type fits, else false, 0 or empty.
  [[nodiscard]] bool as_bool() const { return type_ == Type::kBool && int_ != 0; }
  [[nodiscard]] int64_t as_int() const { return type_ == Type::kInt ? int_ : 0; }
  [[nodiscard]] double as_double() const;
  [[nodiscard]] const std::string& as_string() const { return string_; }

  [[nodiscard]] const std::vector<Value>& items() const { return items_; }
  [[nodiscard]] std::vector<Value>& items() { return items_; }
  [[nodiscard]] const std::vector<Member>& members() const { return members_; }
  [[nodiscard]] std::vector<Member>& members() { return members_; }

  // The member of a map, or null: chains safely (value["a"]["b"]).
  [[nodiscard]] const Value* find(std::string_view key) const;
  [[nodiscard]] Value* find(std::string_view key);
  [[nodiscard]] const Value& operator[](std::string_view key) const;
  // Sets or replaces a member; the order of first insertion is kept.
  Value& set(std::string_view key, Value value);
  Value& set(std::string_view key, std::string_view text);
  void erase(std::string_view key);
  Value& push(Value value);

  Mark mark;

 private:
  Type type_ = Type::kNull;
  int64_t int_ = 0;
  double double_ = 0;
  std::string string_;
  std::vector<Value> items_;
  std::vector<Member> members_;
};

struct Value::Member {
  std::string key;
  Value value;
  Mark mark;  // of the key
};

// Defined here, where Member is complete.
inline Value::Value() = default;
inline Value::Value(const Value&) = default;
inline Value::Value(Value&&) noexcept = default;
inline Value& Value::operator=(const Value&) = default;
inline Value& Value::operator=(Value&&) noexcept = default;
inline Value::~Value() = default;

}  // namespace sallyport::codec
