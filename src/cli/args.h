// Command lines: options before and after positional arguments, `--` ends options.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace sallyport::cli {

struct OptionSpec {
  std::string name;   // "--name"
  char letter = 0;    // 'n', or 0
  std::string value;  // what its value is called in the help ("NAME"); empty: a flag
  std::string help;
};

struct CommandSpec {
  std::string name;     // "get"
  std::string usage;    // "get RESOURCE [-n NS|-A] [-o FORMAT]"
  std::string summary;  // one line
  std::string details;  // further help, may be empty
  std::vector<std::string> examples;
  std::vector<OptionSpec> options;
  size_t min_args = 0, max_args = 0;
  bool internal = false;  // not listed in the help
};

class Args {
 public:
  // kInvalid says what is wrong and how the command is used.
  static Result<Args> parse(const CommandSpec& spec, const std::vector<std::string>& words);

  [[nodiscard]] bool has(const std::string& option) const { return values_.contains(option); }
  [[nodiscard]] std::string get(const std::string& option, const std::string& fallback = "") const;
  [[nodiscard]] std::vector<std::string> all(const std::string& option) const;
  [[nodiscard]] const std::vector<std::string>& words() const { return words_; }
  [[nodiscard]] const std::vector<std::string>& rest() const { return rest_; }  // after --

 private:
  std::map<std::string, std::vector<std::string>> values_;
  std::vector<std::string> words_;
  std::vector<std::string> rest_;
};

std::string help_text(const CommandSpec& spec);

// "90", "90s", "5m", "2h" in seconds.
Result<int64_t> parse_duration(const std::string& text);

}  // namespace sallyport::cli
