#include "runtime/container_process.h"

#include <gtest/gtest.h>

namespace sallyport::runtime {
namespace {

TEST(StartReportTest, NamespaceThenError) {
  std::string bytes("\x07\0\0\0\0\0\0\0", 8);
  EXPECT_EQ(parse_report("").mount_namespace, 0u);
  EXPECT_EQ(parse_report("").error, "");
  EXPECT_EQ(parse_report(bytes).mount_namespace, 7u);
  EXPECT_EQ(parse_report(bytes).error, "");
  EXPECT_EQ(parse_report(bytes + "why").error, "why");
  EXPECT_EQ(parse_report(bytes.substr(0, 3)).error, "the start was cut short");
}

TEST(KillAllInTest, OtherNamespacesAreLeftAlone) {
  EXPECT_EQ(kill_all_in(1), 0u);
}

}  // namespace
}  // namespace sallyport::runtime
