// The filter as the kernel would run it, step by step; isolation_test asks the kernel itself.
#include "runtime/seccomp.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cstring>

namespace sallyport::runtime {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kHere = AUDIT_ARCH_X86_64, kOther = AUDIT_ARCH_I386;
#else
constexpr uint32_t kHere = AUDIT_ARCH_AARCH64, kOther = AUDIT_ARCH_ARM;
#endif

uint32_t verdict(long number, uint64_t arg0 = 0, uint64_t arg1 = 0, uint32_t arch = kHere) {
  std::vector<sock_filter> code = container_filter();
  seccomp_data data{};
  data.nr = static_cast<int>(number);
  data.arch = arch;
  data.args[0] = arg0;
  data.args[1] = arg1;
  uint32_t word = 0;
  for (size_t at = 0; at < code.size(); ++at) {
    const sock_filter& step = code[at];
    switch (step.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&word, reinterpret_cast<const char*>(&data) + step.k, sizeof word);
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        at += word == step.k ? step.jt : step.jf;
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        at += (word & step.k) ? step.jt : step.jf;
        break;
      case BPF_RET | BPF_K:
        return step.k;
      default:
        ADD_FAILURE() << "instruction " << step.code;
        return 0;
    }
  }
  ADD_FAILURE() << "the program has no end";
  return 0;
}

uint32_t refused(int error) {
  return SECCOMP_RET_ERRNO | static_cast<uint32_t>(error);
}

TEST(SeccompTest, OrdinaryCallsPass) {
  for (long number :
       {SYS_read, SYS_write, SYS_execve, SYS_futex, SYS_prctl, SYS_seccomp, SYS_kill, SYS_mmap})
    EXPECT_EQ(verdict(number), SECCOMP_RET_ALLOW) << number;
}

TEST(SeccompTest, CallsThatReachOutAreRefused) {
  for (long number : {SYS_bpf, SYS_mount, SYS_umount2, SYS_setns, SYS_ptrace, SYS_kexec_load,
                      SYS_finit_module, SYS_keyctl, SYS_userfaultfd, SYS_perf_event_open,
                      SYS_open_by_handle_at, SYS_move_mount, SYS_io_uring_setup})
    EXPECT_EQ(verdict(number), refused(EPERM)) << number;
}

TEST(SeccompTest, NewNamespacesAreRefusedThreadsAreNot) {
  EXPECT_EQ(verdict(SYS_clone3), refused(ENOSYS));
  EXPECT_EQ(verdict(SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(SYS_unshare, CLONE_FILES | CLONE_FS), SECCOMP_RET_ALLOW);
  for (uint64_t flag : {CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWUTS,
                        CLONE_NEWIPC, CLONE_NEWCGROUP}) {
    EXPECT_EQ(verdict(SYS_clone, flag | 17), refused(EPERM));
    EXPECT_EQ(verdict(SYS_unshare, flag), refused(EPERM));
  }
}

TEST(SeccompTest, OnlySocketsThatPoliciesSee) {
  for (uint64_t family : {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET})
    EXPECT_EQ(verdict(SYS_socket, family), SECCOMP_RET_ALLOW);
  for (uint64_t family : {AF_VSOCK, AF_ALG, AF_BLUETOOTH, AF_TIPC, AF_RDS, 0, 255})
    EXPECT_EQ(verdict(SYS_socket, family), refused(EAFNOSUPPORT)) << family;
  EXPECT_EQ(verdict(SYS_socketpair, AF_VSOCK), refused(EAFNOSUPPORT));
}

TEST(SeccompTest, TerminalInputCannotBeForged) {
  EXPECT_EQ(verdict(SYS_ioctl, 0, TIOCSTI), refused(EPERM));
  EXPECT_EQ(verdict(SYS_ioctl, 0, TIOCLINUX), refused(EPERM));
  EXPECT_EQ(verdict(SYS_ioctl, 0, TIOCGWINSZ), SECCOMP_RET_ALLOW);
}

TEST(SeccompTest, OtherCallNumberingsAreRefused) {
  EXPECT_EQ(verdict(SYS_read, 0, 0, kOther), refused(ENOSYS));
#if defined(__x86_64__)
  EXPECT_EQ(verdict(SYS_read | 0x40000000), refused(ENOSYS));
#endif
}

}  // namespace
}  // namespace sallyport::runtime
