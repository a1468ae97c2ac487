// For tests: Prometheus' own checker on a metrics text.
#pragma once

#include <array>
#include <cstdio>
#include <fstream>
#include <string>
#include <string_view>

namespace sallyport::telemetry {

// What `promtool check metrics` says; empty where it is content. Its advice on units is left out
// for the two names that are given: Istio counts milliseconds, and a proxy adds microseconds.
inline std::string promtool(const std::string& text) {
  std::array<char, 64> path{"/tmp/sallyport-metrics-XXXXXX"};
  const int fd = mkstemp(path.data());
  if (fd < 0) return "no temporary file";
  close(fd);
  std::ofstream(path.data()) << text;
  FILE* pipe =
      popen((std::string("promtool check metrics <") + path.data() + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return "promtool did not start";
  std::string said;
  std::array<char, 4096> line;
  bool advice = false;
  while (fgets(line.data(), line.size(), pipe) != nullptr) {
    const std::string_view remark(line.data());
    if (remark.find(" use base unit \"seconds\"") != std::string_view::npos &&
        (remark.starts_with("istio_request_duration_milliseconds ") ||
         remark.starts_with("sallyport_mesh_added_latency_microseconds "))) {
      advice = true;
    } else {
      said += remark;
    }
  }
  const int status = pclose(pipe);
  remove(path.data());
  if (status != 0 && said.empty() && !advice) {
    said = "promtool ended with " + std::to_string(status);
  }
  return said;
}

}  // namespace sallyport::telemetry
