#include "proxy/confine.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

namespace sallyport::proxy {
namespace {

// Runs in a child of its own: what is given up does not come back.
int in_child(const std::function<int()>& body) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

constexpr uid_t kNobody = 65534;

TEST(ConfineTest, PrivilegesAreGoneForGood) {
  ASSERT_EQ(::geteuid(), 0U) << "these tests run as root";
  EXPECT_EQ(in_child([] {
              if (!drop_privileges(kNobody, kNobody)) return 1;
              if (::getuid() != kNobody || ::getgid() != kNobody || ::getgroups(0, nullptr) != 0)
                return 2;
              if (::setuid(0) == 0) return 3;
              if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return 4;
              if (::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) return 5;
              if (::prctl(PR_CAPBSET_READ, 12, 0, 0, 0) != 0) return 6;
              const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
              const int mark = 1;
              if (::setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0) return 7;
              return 0;
            }),
            0);
}

TEST(ConfineTest, OnlyListedCallsWork) {
  EXPECT_EQ(in_child([] {
              const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
              if (!drop_privileges(kNobody, kNobody)) return 1;
              if (!confine_system_calls()) return 2;
              if (::socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM) return 3;
              if (::syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY) >= 0 || errno != EPERM)
                return 4;
              const char* const args[] = {"/bin/true", nullptr};
              ::execve(args[0], const_cast<char* const*>(args), nullptr);
              if (errno != EPERM) return 5;
              if (::syscall(SYS_ptrace, 0, 0, 0, 0) != -1 || errno != EPERM) return 6;
              if (::syscall(SYS_clone, 0, 0, 0, 0, 0) != -1 || errno != EPERM) return 7;
              if (::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
                return 8;
              // What the data path needs goes on.
              if (::listen(listener, 5) != -1 || errno != EPERM) return 9;
              void* memory =
                  ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              if (memory == MAP_FAILED) return 10;
              int value = 1;
              if (::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &value, sizeof value) != 0)
                return 11;
              return 0;
            }),
            0);
}

TEST(ConfineTest, DescriptorsAreRaised) {
  EXPECT_EQ(in_child([] {
              auto limit = raise_descriptor_limit();
              return limit && *limit >= 1024 ? 0 : 1;
            }),
            0);
}

}  // namespace
}  // namespace sallyport::proxy
