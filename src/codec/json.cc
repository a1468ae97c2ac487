#include "codec/json.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "base/strings.h"
#include "codec/utf8.h"

namespace sallyport::codec {
namespace {

class Reader {
 public:
  Reader(std::string_view text, int max_depth) : text_(text), max_depth_(max_depth) {}

  std::expected<Value, TextError> document() {
    Value value;
    if (!read(value, 0)) return std::unexpected(error_);
    skip_space();
    if (pos_ != text_.size()) {
      fail_here("text after the end of the value");
      return std::unexpected(error_);
    }
    return value;
  }

 private:
  [[nodiscard]] bool at_end() const { return pos_ == text_.size(); }
  [[nodiscard]] Mark here() const { return {line_, static_cast<int>(pos_ - line_start_) + 1}; }

  bool fail_at(Mark mark, std::string message) {
    error_ = {mark, "not valid JSON: " + std::move(message)};
    return false;
  }
  bool fail_here(std::string message) { return fail_at(here(), std::move(message)); }

  void skip_space() {
    for (; !at_end(); ++pos_) {
      char c = text_[pos_];
      if (c == '\n') {
        ++line_;
        line_start_ = pos_ + 1;
      } else if (c != ' ' && c != '\t' && c != '\r') {
        return;
      }
    }
  }

  bool eat(char c) {
    if (at_end() || text_[pos_] != c) return false;
    ++pos_;
    return true;
  }

  bool read(Value& out, int depth) {
    skip_space();
    if (at_end()) return fail_here("the text ends where a value is expected");
    if (depth > max_depth_)
      return fail_here("nested deeper than " + std::to_string(max_depth_) + " levels");
    Mark mark = here();
    bool ok = read_at(out, depth);
    out.mark = mark;
    return ok;
  }

  bool read_at(Value& out, int depth) {
    switch (text_[pos_]) {
      case '{':
        return read_map(out, depth);
      case '[':
        return read_list(out, depth);
      case '"': {
        std::string text;
        if (!read_string(text)) return false;
        out = Value::string(text);
        return true;
      }
      case 't':
        return read_word("true", Value::boolean(true), out);
      case 'f':
        return read_word("false", Value::boolean(false), out);
      case 'n':
        return read_word("null", Value(), out);
      default:
        return read_number(out);
    }
  }

  bool read_word(std::string_view word, Value value, Value& out) {
    if (!text_.substr(pos_).starts_with(word)) return fail_here("expected a value");
    pos_ += word.size();
    out = std::move(value);
    return true;
  }

  bool read_number(Value& out) {
    size_t start = pos_;
    auto digits = [&] {
      size_t from = pos_;
      while (!at_end() && text_[pos_] >= '0' && text_[pos_] <= '9') ++pos_;
      return pos_ - from;
    };
    Mark mark = here();
    eat('-');
    size_t first = pos_;
    size_t whole = digits();
    if (whole == 0) return fail_at(mark, "expected a value");
    if (whole > 1 && text_[first] == '0') return fail_at(mark, "a number with a leading zero");
    bool integer = true;
    if (eat('.')) {
      integer = false;
      if (digits() == 0) return fail_here("expected a digit after the decimal point");
    }
    if (!at_end() && (text_[pos_] == 'e' || text_[pos_] == 'E')) {
      integer = false;
      ++pos_;
      if (!eat('+')) eat('-');
      if (digits() == 0) return fail_here("expected a digit in the exponent");
    }
    std::string_view text = text_.substr(start, pos_ - start);
    if (integer) {
      if (auto number = parse_number<int64_t>(text)) {
        out = Value::integer(*number);
        return true;
      }
    }
    double number = 0;
    auto [ptr, err] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (err != std::errc()) return fail_at(mark, "a number that does not fit 64 bits");
    out = Value::floating(number);
    return true;
  }

  bool read_hex4(uint32_t& code) {
    code = 0;
    for (int i = 0; i < 4; ++i, ++pos_) {
      if (at_end()) return fail_here("the text ends inside a string");
      char c = text_[pos_];
      uint32_t digit = 0;
      if (c >= '0' && c <= '9')
        digit = static_cast<uint32_t>(c - '0');
      else if (c >= 'a' && c <= 'f')
        digit = static_cast<uint32_t>(c - 'a') + 10;
      else if (c >= 'A' && c <= 'F')
        digit = static_cast<uint32_t>(c - 'A') + 10;
      else
        return fail_here("expected four hexadecimal digits after \\u");
      code = code << 4 | digit;
    }
    return true;
  }

  bool read_escape(std::string& out) {
    if (at_end()) return fail_here("the text ends inside a string");
    char c = text_[pos_++];
    switch (c) {
      case '"':
      case '\\':
      case '/':
        out += c;
        return true;
      case 'b':
        out += '\b';
        return true;
      case 'f':
        out += '\f';
        return true;
      case 'n':
        out += '\n';
        return true;
      case 'r':
        out += '\r';
        return true;
      case 't':
        out += '\t';
        return true;
      case 'u':
        break;
      default:
        --pos_;
        return fail_here("an unknown escape in a string");
    }
    uint32_t code = 0;
    if (!read_hex4(code)) return false;
    if (code >= 0xd800 && code < 0xdc00) {
      uint32_t low = 0;
      if (!eat('\\') || !eat('u')) return fail_here("half of a surrogate pair");
      if (!read_hex4(low)) return false;
      if (low < 0xdc00 || low > 0xdfff) return fail_here("half of a surrogate pair");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code <= 0xdfff) {
      return fail_here("half of a surrogate pair");
    }
    append_utf8(out, code);
    return true;
  }

  bool read_string(std::string& out) {
    ++pos_;  // the quote
    while (true) {
      if (at_end()) return fail_here("the text ends inside a string");
      char c = text_[pos_];
      if (c == '"') {
        ++pos_;
        return true;
      }
      if (static_cast<unsigned char>(c) < 0x20)
        return fail_here("a control character in a string; expected an escape");
      if (c == '\\') {
        ++pos_;
        if (!read_escape(out)) return false;
        continue;
      }
      size_t start = pos_;
      size_t next = pos_;
      if (next_code_point(text_, next) == kInvalidCodePoint)
        return fail_here("a byte that is not valid UTF-8");
      out += text_.substr(start, next - start);
      pos_ = next;
    }
  }

  bool read_list(Value& out, int depth) {
    ++pos_;
    out = Value::list();
    skip_space();
    if (eat(']')) return true;
    while (true) {
      Value item;
      if (!read(item, depth + 1)) return false;
      out.push(std::move(item));
      skip_space();
      if (eat(']')) return true;
      if (!eat(',')) return fail_here("expected \",\" or \"]\"");
    }
  }

  bool read_map(Value& out, int depth) {
    ++pos_;
    out = Value::map();
    std::set<std::string> keys;
    skip_space();
    if (eat('}')) return true;
    while (true) {
      skip_space();
      Mark mark = here();
      if (at_end() || text_[pos_] != '"') return fail_here("expected a key in double quotes");
      std::string key;
      if (!read_string(key)) return false;
      if (!keys.insert(key).second)
        return fail_at(mark, "duplicate key \"" + key + "\"; a key may stand only once in a map");
      skip_space();
      if (!eat(':')) return fail_here("expected \":\"");
      Value value;
      if (!read(value, depth + 1)) return false;
      out.members().push_back({std::move(key), std::move(value), mark});
      skip_space();
      if (eat('}')) return true;
      if (!eat(',')) return fail_here("expected \",\" or \"}\"");
    }
  }

  std::string_view text_;
  int max_depth_;
  size_t pos_ = 0;
  int line_ = 1;
  size_t line_start_ = 0;
  TextError error_;
};

}  // namespace

std::expected<Value, TextError> parse_json_marked(std::string_view text, size_t max_bytes,
                                                  int max_depth) {
  if (text.size() > max_bytes)
    return std::unexpected(
        TextError{{1, 1}, "larger than " + std::to_string(max_bytes) + " bytes"});
  return Reader(text, max_depth).document();
}

Result<Value> parse_json(std::string_view text, size_t max_bytes, int max_depth) {
  auto value = parse_json_marked(text, max_bytes, max_depth);
  if (value) return std::move(*value);
  const TextError& error = value.error();
  return fail(Code::kInvalid, std::to_string(error.mark.line) + ":" +
                                  std::to_string(error.mark.column) + ": " + error.message);
}

}  // namespace sallyport::codec
