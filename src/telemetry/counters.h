// Counters with one writing thread and any number of reading ones, without locks and without
// read-modify-write instructions: the writer owns the value, readers see an older or a newer one.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sallyport::telemetry {

class Counter {
 public:
  void add(uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  [[nodiscard]] uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Buckets with upper bounds (inclusive, ascending) given at compile time, one more above them all.
template <const auto& Bounds>
class Histogram {
 public:
  static constexpr size_t kBuckets = Bounds.size() + 1;

  void observe(double value) {
    size_t i = 0;
    while (i < Bounds.size() && value > Bounds[i]) ++i;
    counts_[i].add();
    sum_.store(sum_.load(std::memory_order_relaxed) + value, std::memory_order_relaxed);
  }
  [[nodiscard]] double sum() const { return sum_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::vector<uint64_t> counts() const {
    std::vector<uint64_t> out;
    out.reserve(kBuckets);
    for (const Counter& count : counts_) out.push_back(count.value());
    return out;
  }
  [[nodiscard]] static std::vector<double> bounds() { return {Bounds.begin(), Bounds.end()}; }

 private:
  std::array<Counter, kBuckets> counts_;
  std::atomic<double> sum_{0};
};

}  // namespace sallyport::telemetry
