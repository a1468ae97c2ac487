#include "runtime/oom_score.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/strings.h"

namespace sallyport::runtime {
namespace {

TEST(OomScoreTest, MayAlwaysRise) {
  pid_t pid = ::fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    set_oom_score(1000);
    ::_exit(trim(read_file("/proc/self/oom_score_adj").value_or("")) == "1000" ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace sallyport::runtime
