// Field lines of an HTTP/1 head: checked, collected, those about the connection interpreted.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "http/h1_head.h"

namespace sallyport::http::h1 {

// Takes the next line, without its CRLF, off `text`. Nothing where CR and LF are not a pair.
std::optional<std::string_view> next_line(std::string_view& text);

struct FieldLimits {
  size_t bytes, fields;
  Counter bytes_counter, fields_counter;
};

class FieldReader {
 public:
  FieldReader(HeaderList& headers, FieldLimits limits) : headers_(headers), limits_(limits) {}

  // All lines up to the empty one.
  std::optional<Violation> read(std::string_view text);
  // After read(): removes the fields that Connection names.
  void remove_nominated();

  // Host, length and coding, taken out of the list.
  bool has_host = false, has_length = false, chunked = false, has_coding = false;
  std::string_view host;
  uint64_t length = 0;
  std::string_view upgrade;
  bool close = false, keep_alive = false, wants_upgrade = false;
  bool expect_continue = false, bad_expectation = false;

 private:
  enum class Kind : uint8_t { kEndToEnd, kDropped, kBad };
  std::optional<Violation> read_line(std::string_view line);
  std::optional<Violation> special(std::string_view name, std::string_view value, bool& keep);
  std::optional<Violation> connection(std::string_view value);

  HeaderList& headers_;
  FieldLimits limits_;
  size_t bytes_ = 0, count_ = 0;
  std::array<std::string_view, 16> nominated_;
  size_t nominations_ = 0;
};

}  // namespace sallyport::http::h1
