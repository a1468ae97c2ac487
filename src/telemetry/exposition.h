// Metrics as Prometheus text (exposition format 0.0.4), gathered and added up series by series: of
// a process's workers, and of a node's proxies from the texts that they hand over.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace sallyport::telemetry {

enum class MetricType : uint8_t { kCounter, kGauge, kHistogram };
// What two values of one series make. Counters and histograms always add up.
enum class Merge : uint8_t { kSum, kMax, kMin };

// `name="value"` with the value escaped; callers join several with commas.
void append_label(std::string& out, std::string_view name, std::string_view value);

class Exposition {
 public:
  explicit Exposition(size_t max_series = 1'000'000) : max_series_(max_series) {}

  // Families appear in the order of their declaration. The first declaration of a name holds.
  void declare(std::string_view name, MetricType type, std::string_view help,
               Merge merge = Merge::kSum);

  // A counter or a gauge. `labels` without braces, escaped. Undeclared: ignored.
  void add(std::string_view name, std::string_view labels, double value);
  // A histogram: `counts` per bucket, not cumulative, with one more than `bounds` (above them all).
  void add_histogram(std::string_view name, std::string_view labels,
                     const std::vector<double>& bounds, const std::vector<uint64_t>& counts,
                     double sum);

  // Adds another process's text. kInvalid names the line; nothing of the text is taken then.
  // Families that were not declared before are taken as the text declares them.
  Status add_text(std::string_view text);

  // Families without a series are left out.
  [[nodiscard]] std::string text() const;

  // Series that did not fit.
  [[nodiscard]] uint64_t dropped() const { return dropped_; }

 private:
  struct Sample {
    std::string key;  // name with suffix and labels, as it is printed
    double value = 0;
  };
  struct Family {
    std::string name, help;
    MetricType type = MetricType::kCounter;
    Merge merge = Merge::kSum;
    std::vector<Sample> samples;
    std::unordered_map<std::string, size_t> index;
  };

  Family* find(std::string_view name);
  void put(Family& family, std::string key, double value);
  struct Line;
  Status read_line(std::string_view line, size_t number, std::vector<Line>& lines) const;

  size_t max_series_;
  size_t series_ = 0;
  uint64_t dropped_ = 0;
  std::deque<Family> families_;
  std::unordered_map<std::string, Family*> by_name_;
};

}  // namespace sallyport::telemetry
