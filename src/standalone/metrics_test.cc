#include "standalone/metrics.h"

#include <gtest/gtest.h>

namespace sallyport::standalone {
namespace {

TEST(Metrics, LatencyIsACumulativeHistogram) {
  ProgrammingLatency latency;
  latency.observe(0.002);
  latency.observe(0.002);
  latency.observe(2);
  std::string out;
  latency.write(out);
  EXPECT_NE(out.find("_bucket{le=\"0.001\"} 0\n"), std::string::npos);
  EXPECT_NE(out.find("_bucket{le=\"0.0025\"} 2\n"), std::string::npos);
  EXPECT_NE(out.find("_bucket{le=\"1\"} 2\n"), std::string::npos);
  EXPECT_NE(out.find("_bucket{le=\"+Inf\"} 3\n"), std::string::npos);
  EXPECT_NE(out.find("_count 3\n"), std::string::npos);
}

}  // namespace
}  // namespace sallyport::standalone
