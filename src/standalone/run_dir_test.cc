#include "standalone/run_dir.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/fs.h"

namespace sallyport::standalone {
namespace {

TEST(RunDir, NamesAreSmallLabels) {
  for (const char* bad : {"", "-a", "a-", "A", "a/b", "..", "a b", "abcdefghijklmnopqrstu"})
    EXPECT_FALSE(run_paths(bad)) << bad;
  EXPECT_EQ(run_paths("x-1")->admin_socket, "/run/sallyport/x-1/admin.sock");
}

TEST(RunDir, OneOwnerAtATimeAndNothingLeft) {
  auto paths = run_paths("t" + std::to_string(::getpid()));
  ASSERT_TRUE(paths);
  EXPECT_FALSE(RunLock::held(*paths));
  {
    auto lock = RunLock::take(*paths);
    ASSERT_TRUE(lock) << lock.error().message;
    EXPECT_TRUE(RunLock::held(*paths));
    auto second = RunLock::take(*paths);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Code::kConflict);
    ASSERT_TRUE(make_run_dirs(*paths));
    ASSERT_TRUE(make_run_dirs(*paths)) << "again, as after a take-over";
  }
  EXPECT_FALSE(RunLock::held(*paths));
  ASSERT_TRUE(remove_run_dirs(*paths));
  EXPECT_FALSE(exists(paths->run));
  EXPECT_FALSE(exists(paths->lock));
  ::rmdir(paths->lasting.c_str());
}

}  // namespace
}  // namespace sallyport::standalone
