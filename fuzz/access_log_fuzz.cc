// links: base codec telemetry
//
// Access log formats and the values that go into them: the input is a format, a zero byte, and a
// value. A value makes no second line and no control byte; JSON stays JSON with the same keys.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json.h"
#include "telemetry/access_log.h"

namespace {

namespace codec = sallyport::codec;
using sallyport::telemetry::AccessLogFormat;
using sallyport::telemetry::LogEntry;

[[noreturn]] void broken(const char* what, const std::string& text) {
  std::fprintf(stderr, "%s\n---\n%s\n", what, text.c_str());
  std::abort();
}

std::string line_of(const AccessLogFormat& format, std::string_view value) {
  LogEntry entry;
  entry.method = entry.path = entry.authority = entry.protocol = value;
  entry.server_name = entry.route = entry.downstream_peer = value;
  const std::vector<std::string_view> request(format.request_headers().size(), value);
  const std::vector<std::string_view> response(format.response_headers().size(), value);
  const std::vector<std::string_view> trailers(format.response_trailers().size(), value);
  entry.request_headers = request;
  entry.response_headers = response;
  entry.response_trailers = trailers;
  std::string line;
  format.append(line, entry);
  return line;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const std::string_view format = all.substr(0, all.find('\0'));
  const std::string_view value = all.substr(std::min(all.size(), format.size() + 1));
  if (const auto text = AccessLogFormat::text(format)) {
    const std::string line = line_of(*text, value);
    const auto lines = [](std::string_view in) { return std::count(in.begin(), in.end(), '\n'); };
    // What an empty value leaves is the format's own.
    if (lines(line) != lines(line_of(*text, {}))) broken("a value made a line", line);
  }
  if (const auto json = AccessLogFormat::json(format)) {
    const std::string line = line_of(*json, value);
    if (std::count(line.begin(), line.end(), '\n') != 1) broken("not one line", line);
    const auto parsed = codec::parse_json(line);
    if (!parsed) broken(parsed.error().message.c_str(), line);
    const auto plain = codec::parse_json(line_of(*json, {}));
    if (!plain || plain->members().size() != parsed->members().size()) broken("other keys", line);
  }
  return 0;
}
