#include <charconv>
#include <cmath>
#include <utility>

#include "codec/json.h"
#include "codec/utf8.h"

namespace sallyport::codec {
namespace {

// As Go writes it: whole numbers without a fraction, so that readers take them as integers.
void write_float(std::string& out, double number) {
  if (!std::isfinite(number)) {
    out += "null";
    return;
  }
  char text[400];
  double magnitude = std::fabs(number);
  bool plain = magnitude == 0 || (magnitude >= 1e-6 && magnitude < 1e21);
  auto result = plain ? std::to_chars(text, text + sizeof text, number, std::chars_format::fixed)
                      : std::to_chars(text, text + sizeof text, number);
  out.append(text, result.ptr);
}

void write(std::string& out, const Value& value, int indent, int level) {
  auto new_line = [&](int at) {
    if (indent == 0) return;
    out += '\n';
    out.append(static_cast<size_t>(indent) * static_cast<size_t>(at), ' ');
  };
  switch (value.type()) {
    case Value::Type::kNull:
      out += "null";
      return;
    case Value::Type::kBool:
      out += value.as_bool() ? "true" : "false";
      return;
    case Value::Type::kInt:
      out += std::to_string(value.as_int());
      return;
    case Value::Type::kFloat:
      write_float(out, value.as_double());
      return;
    case Value::Type::kString:
      out += quote_json(value.as_string());
      return;
    case Value::Type::kList: {
      out += '[';
      bool first = true;
      for (const Value& item : value.items()) {
        if (!std::exchange(first, false)) out += ',';
        new_line(level + 1);
        write(out, item, indent, level + 1);
      }
      if (!first) new_line(level);
      out += ']';
      return;
    }
    case Value::Type::kMap: {
      out += '{';
      bool first = true;
      for (const Value::Member& member : value.members()) {
        if (!std::exchange(first, false)) out += ',';
        new_line(level + 1);
        out += quote_json(member.key);
        out += indent == 0 ? ":" : ": ";
        write(out, member.value, indent, level + 1);
      }
      if (!first) new_line(level);
      out += '}';
      return;
    }
  }
}

}  // namespace

std::string write_json(const Value& value, int indent) {
  std::string out;
  write(out, value, indent, 0);
  return out;
}

std::string quote_json(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (size_t pos = 0; pos < text.size();) {
    size_t start = pos;
    uint32_t code = next_code_point(text, pos);
    if (code == kInvalidCodePoint) {
      append_utf8(out, 0xfffd);
    } else if (code == '"' || code == '\\') {
      out += '\\';
      out += static_cast<char>(code);
    } else if (code == '\n') {
      out += "\\n";
    } else if (code == '\t') {
      out += "\\t";
    } else if (code == '\r') {
      out += "\\r";
    } else if (code < 0x20 || code == 0x7f) {
      out += "\\u00";
      out += kHex[code >> 4];
      out += kHex[code & 0xf];
    } else {
      out += text.substr(start, pos - start);
    }
  }
  out += '"';
  return out;
}

}  // namespace sallyport::codec
