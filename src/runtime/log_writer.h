// The log of a container: one line of text per line of output, in the format of CRI
// ("2026-01-02T03:04:05.000000000Z stdout F text"), in at most two files of bounded size.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/fd.h"

namespace sallyport::runtime {

class LogWriter {
 public:
  static constexpr size_t kLineLimit = 16 << 10;          // longer lines are cut into parts ("P")
  static constexpr size_t kFileLimit = size_t{10} << 20;  // then PATH becomes PATH.1

  explicit LogWriter(std::string path, size_t file_limit = kFileLimit);

  // Bytes as they came from the container; a line is written when it is whole or too long.
  void append(bool from_stderr, std::string_view bytes, WallTime now);
  // Writes unfinished lines: the container has closed its end.
  void flush(WallTime now);

 private:
  void write_line(bool from_stderr, std::string_view text, bool whole, WallTime now);
  void open_file();

  std::string path_;
  size_t file_limit_;
  Fd file_;
  size_t size_ = 0;
  std::string pending_[2];  // of stdout, of stderr
};

}  // namespace sallyport::runtime
