#include "runtime/container_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

namespace sallyport::runtime {
namespace {

TEST(StartReportTest, TextUntilTheEnd) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  Fd read_end(ends[0]), write_end(ends[1]);
  StartReport report;
  read_report(read_end, report);
  EXPECT_FALSE(report.finished) << "nothing yet, and no wait";
  ASSERT_EQ(::write(write_end.get(), "why", 3), 3);
  read_report(read_end, report);
  EXPECT_EQ(report.error, "why");
  EXPECT_FALSE(report.finished);
  std::string endless(20'000, 'x');
  ASSERT_EQ(::write(write_end.get(), endless.data(), endless.size()), 20'000);
  write_end.reset();
  read_report(read_end, report);
  EXPECT_TRUE(report.finished);
  EXPECT_LT(report.error.size(), 10'000u) << "bounded";
  EXPECT_FALSE(report.mount_namespace);
}

TEST(KillAllInTest, EndsThatNamespaceOnly) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  Fd read_end(ends[0]), write_end(ends[1]);
  pid_t inside = ::fork();
  if (inside == 0) {
    char answer = ::unshare(CLONE_NEWNS) == 0 ? 'y' : 'n';
    if (::write(write_end.get(), &answer, 1) != 1) ::_exit(1);
    while (true) ::pause();
  }
  char answer = 0;
  ASSERT_EQ(::read(read_end.get(), &answer, 1), 1);
  ASSERT_EQ(answer, 'y');
  Fd space(::open(("/proc/" + std::to_string(inside) + "/ns/mnt").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(space);
  EXPECT_EQ(kill_all_in(space), 1u);
  int status = 0;
  ASSERT_EQ(::waitpid(inside, &status, 0), inside);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_EQ(kill_all_in(space), 0u);
  EXPECT_EQ(kill_all_in(Fd()), 0u);
}

}  // namespace
}  // namespace sallyport::runtime
