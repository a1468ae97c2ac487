// Log lines for people on standard error: "2026-01-02T03:04:05Z WARN  node: text".
#pragma once

#include <string_view>

namespace sallyport {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

void set_log_level(LogLevel least);
void log(LogLevel level, std::string_view module, std::string_view text);

inline void log_info(std::string_view module, std::string_view text) {
  log(LogLevel::kInfo, module, text);
}
inline void log_warn(std::string_view module, std::string_view text) {
  log(LogLevel::kWarn, module, text);
}
inline void log_error(std::string_view module, std::string_view text) {
  log(LogLevel::kError, module, text);
}

}  // namespace sallyport
