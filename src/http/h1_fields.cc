#include "http/h1_fields.h"

#include <cstring>

#include "http/syntax.h"

namespace sallyport::http::h1 {
namespace {

constexpr Violation kBadField{Counter::kMalformedField, 400};
constexpr Violation kBadFraming{Counter::kMalformedFraming, 400};

// Digits only: no sign, no blank, no list, nothing that overflows.
bool parse_length(std::string_view value, uint64_t& length) {
  if (value.empty() || value.size() > 18) return false;
  length = 0;
  for (const char c : value) {
    if (c < '0' || c > '9') return false;
    length = length * 10 + static_cast<uint64_t>(c - '0');
  }
  return true;
}

}  // namespace

std::optional<std::string_view> next_line(std::string_view& text) {
  const size_t lf = text.find('\n');
  if (lf == std::string_view::npos || lf == 0 || text[lf - 1] != '\r') return std::nullopt;
  const std::string_view line = text.substr(0, lf - 1);
  text.remove_prefix(lf + 1);
  return line;
}

std::optional<Violation> FieldReader::read(std::string_view text) {
  for (;;) {
    const auto line = next_line(text);
    if (!line) return kBadField;
    if (line->empty()) return std::nullopt;
    if (++count_ > limits_.fields) return Violation{limits_.fields_counter, 431};
    if (auto violation = read_line(*line)) return violation;
  }
}

std::optional<Violation> FieldReader::read_line(std::string_view line) {
  // A line that starts with a blank would continue the one before (obs-fold): no token, refused, as
  // is a blank before the colon.
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return kBadField;
  const std::string_view value = trim_ows(line.substr(colon + 1));
  if (!is_text(value)) return kBadField;
  bytes_ += colon + value.size();
  if (bytes_ > limits_.bytes) return Violation{limits_.bytes_counter, 431};

  char* out = headers_.reserve_text(colon + value.size());
  for (size_t i = 0; i < colon; ++i)
    if ((out[i] = token_lower(line[i])) == 0) return kBadField;
  if (!value.empty()) std::memcpy(out + colon, value.data(), value.size());
  bool keep = true;
  if (auto violation = special({out, colon}, value, keep)) return violation;
  if (keep) headers_.add_reserved(colon, value.size());
  return std::nullopt;
}

std::optional<Violation> FieldReader::special(std::string_view name, std::string_view value,
                                              bool& keep) {
  switch (name.size()) {
    case 4:
      if (name != "host") break;
      if (has_host) return Violation{Counter::kMalformedHost, 400};
      has_host = true;
      host = value;
      keep = false;
      break;
    case 6:
      if (name != "expect") break;
      if (equal_fold(value, "100-continue"))
        expect_continue = true;
      else
        bad_expectation = true;
      break;
    case 10:
      if (name != "connection") break;
      keep = false;
      return connection(value);
    case 7:
      if (name != "upgrade") break;
      upgrade = value;
      keep = false;
      return std::nullopt;
    case 14:
      if (name != "content-length") break;
      if (has_length || !parse_length(value, length)) return kBadFraming;
      has_length = true;
      keep = false;
      return std::nullopt;
    case 17:
      if (name != "transfer-encoding") break;
      if (has_coding) return kBadFraming;
      has_coding = true;
      chunked = equal_fold(value, "chunked");
      if (!chunked) return Violation{Counter::kMalformedFraming, 501};
      keep = false;
      return std::nullopt;
    default:
      break;
  }
  if (keep && is_hop_by_hop(name)) keep = false;
  return std::nullopt;
}

std::optional<Violation> FieldReader::connection(std::string_view value) {
  while (!value.empty()) {
    const size_t comma = value.find(',');
    const std::string_view option = trim_ows(value.substr(0, comma));
    value.remove_prefix(comma == std::string_view::npos ? value.size() : comma + 1);
    if (option.empty()) continue;
    if (!is_token(option)) return kBadField;
    if (equal_fold(option, "close")) {
      close = true;
    } else if (equal_fold(option, "keep-alive")) {
      keep_alive = true;
    } else if (equal_fold(option, "upgrade")) {
      wants_upgrade = true;
    } else if (nominations_ == nominated_.size()) {
      return Violation{Counter::kHeadFields, 400};
    } else {
      nominated_[nominations_++] = option;
    }
  }
  return std::nullopt;
}

void FieldReader::remove_nominated() {
  for (size_t i = 0; i < nominations_; ++i)
    headers_.remove_unless([&](Field field) { return !equal_fold(field.name, nominated_[i]); });
}

}  // namespace sallyport::http::h1
