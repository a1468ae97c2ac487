#include <charconv>
#include <cmath>

#include "codec/json.h"
#include "codec/utf8.h"
#include "codec/yaml.h"
#include "codec/yaml_scalar.h"

namespace sallyport::codec {
namespace {

std::string float_text(double number) {
  if (std::isnan(number)) return ".nan";
  if (std::isinf(number)) return number < 0 ? "-.inf" : ".inf";
  char text[40];
  auto result = std::to_chars(text, text + sizeof text, number);
  std::string out(text, result.ptr);
  // 1e+20 without a dot and 1 are integers or text to other readers.
  if (out.find_first_of(".e") == std::string::npos) out += ".0";
  return out;
}

// A literal block (|) keeps every line as it is; what it cannot keep goes into double quotes.
bool fits_literal_block(std::string_view text) {
  if (text.size() < 2 || text.back() != '\n' || text[text.size() - 2] == '\n' ||
      text.find('\n') == text.size() - 1)
    return false;
  if (text[0] == ' ' || text[0] == '\n' || text[0] == '\t' || !is_utf8(text)) return false;
  for (size_t pos = 0; pos < text.size();) {
    uint32_t code = next_code_point(text, pos);
    if (code == '\n' || code == '\t') continue;
    if (code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 ||
        code == 0xfeff || code >= 0xfffe)
      return false;
  }
  return true;
}

class Writer {
 public:
  std::string out;

  void scalar(const Value& value) {
    switch (value.type()) {
      case Value::Type::kNull:
        out += "null";
        break;
      case Value::Type::kBool:
        out += value.as_bool() ? "true" : "false";
        break;
      case Value::Type::kInt:
        out += std::to_string(value.as_int());
        break;
      case Value::Type::kFloat:
        out += float_text(value.as_double());
        break;
      case Value::Type::kString:
        string(value.as_string());
        break;
      case Value::Type::kList:
        out += "[]";
        break;
      case Value::Type::kMap:
        out += "{}";
        break;
    }
  }

  void string(std::string_view text) {
    out += is_safe_plain(text) ? std::string(text) : quote_yaml(text);
  }

  // The value after "key:" or "-"; ends with a line feed.
  void after_indicator(const Value& value, int indent, bool in_list) {
    if (value.is_map() && !value.members().empty()) {
      out += in_list ? " " : "\n";
      map(value, indent + (in_list ? 2 : 0), in_list);
    } else if (value.is_list() && !value.items().empty()) {
      out += "\n";
      list(value, in_list ? indent + 2 : indent);
    } else if (value.is_string() && fits_literal_block(value.as_string())) {
      literal(value.as_string(), indent + 2);
    } else {
      out += ' ';
      scalar(value);
      out += '\n';
    }
  }

  void map(const Value& value, int indent, bool first_on_line) {
    for (const Value::Member& member : value.members()) {
      if (!first_on_line) out.append(static_cast<size_t>(indent), ' ');
      first_on_line = false;
      string(member.key);
      out += ':';
      bool deeper = member.value.is_map();
      after_indicator(member.value, deeper ? indent + 2 : indent, false);
    }
  }

  void list(const Value& value, int indent) {
    for (const Value& item : value.items()) {
      out.append(static_cast<size_t>(indent), ' ');
      out += '-';
      after_indicator(item, indent, true);
    }
  }

 private:
  // JSON's escapes are a subset of YAML's.
  static std::string quote_yaml(std::string_view text) {
    std::string quoted = quote_json(text);
    std::string escaped;
    for (size_t pos = 0; pos < quoted.size();) {
      size_t start = pos;
      uint32_t code = next_code_point(quoted, pos);
      bool odd = (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 ||
                 code == 0xfeff || code == 0xfffe || code == 0xffff;
      if (!odd) {
        escaped += quoted.substr(start, pos - start);
        continue;
      }
      constexpr char kHex[] = "0123456789abcdef";
      escaped += "\\u";
      for (int shift = 12; shift >= 0; shift -= 4) escaped += kHex[code >> shift & 0xf];
    }
    return escaped;
  }

  void literal(std::string_view text, int indent) {
    out += " |\n";
    while (!text.empty()) {
      size_t end = text.find('\n');
      std::string_view line = text.substr(0, end);
      if (!line.empty()) out.append(static_cast<size_t>(indent), ' ');
      out += line;
      out += '\n';
      text.remove_prefix(end + 1);
    }
  }
};

}  // namespace

std::string write_yaml(const Value& value) {
  Writer writer;
  if (value.is_map() && !value.members().empty()) {
    writer.map(value, 0, false);
  } else if (value.is_list() && !value.items().empty()) {
    writer.list(value, 0);
  } else {
    writer.scalar(value);
    writer.out += '\n';
  }
  return writer.out;
}

}  // namespace sallyport::codec
