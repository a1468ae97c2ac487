#include "proxy/confine.h"

#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <vector>

namespace sallyport::proxy {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArch = AUDIT_ARCH_AARCH64;
#else
#error "no audit architecture is known for this machine"
#endif

// What the data path, the allocator, threads that exist and the end of the process need.
constexpr std::array kAllowed{
    // bytes and connections
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_sendto,
    SYS_sendmsg,
    SYS_accept4,
    SYS_bind,
    SYS_connect,
    SYS_shutdown,
    SYS_getsockopt,
    SYS_setsockopt,
    SYS_getsockname,
    SYS_getpeername,
    SYS_close,
    SYS_fcntl,
    SYS_dup,
    SYS_dup3,
    SYS_lseek,
    SYS_pread64,
    SYS_fstat,
    SYS_newfstatat,
    SYS_ftruncate,
    SYS_memfd_create,
    // waiting
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_epoll_pwait2,
    SYS_epoll_create1,
    SYS_eventfd2,
    SYS_ppoll,
    SYS_futex,
    SYS_nanosleep,
    SYS_clock_nanosleep,
    SYS_clock_gettime,
    SYS_restart_syscall,
    SYS_sched_yield,
    // memory
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    SYS_brk,
    SYS_getrandom,
    // threads and the end
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sigaltstack,
    SYS_gettid,
    SYS_getpid,
    SYS_tgkill,
    SYS_exit,
    SYS_exit_group,
    SYS_sched_getaffinity,
    SYS_membarrier,
    SYS_rseq,
    SYS_prlimit64,
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    // A sanitizer asks by a pipe whether memory can be read, and calls it an invalid object where
    // it gets none.
    SYS_pipe2,
#if defined(__x86_64__)
    SYS_pipe,
#endif
#endif
#if defined(__x86_64__)
    SYS_epoll_wait,
    SYS_poll,
    SYS_dup2,
    SYS_time,
    SYS_gettimeofday,
#endif
};

// Turning memory into code is refused: the process loads nothing any more.
constexpr uint32_t kProtExec = 4;

void drop_bounding_set() {
  for (int capability = 0; capability < 64; ++capability)
    if (::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1)
      ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
}

}  // namespace

Result<size_t> raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return fail_errno("getrlimit");
  // A privileged process may go beyond its hard limit; the kernel's own is a million by default.
  constexpr rlim_t kWanted = 1 << 20;
  if (limit.rlim_max < kWanted) {
    rlimit higher{kWanted, kWanted};
    if (::setrlimit(RLIMIT_NOFILE, &higher) == 0) return static_cast<size_t>(kWanted);
  }
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return fail_errno("setrlimit of descriptors");
  return static_cast<size_t>(limit.rlim_cur);
}

Status drop_privileges(std::optional<uid_t> uid, std::optional<gid_t> gid) {
  if (::geteuid() == 0) drop_bounding_set();
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (gid) {
    if (::setgroups(0, nullptr) != 0) return fail_errno("setgroups");
    if (::setresgid(*gid, *gid, *gid) != 0) return fail_errno("setresgid");
  }
  if (uid && ::setresuid(*uid, *uid, *uid) != 0) return fail_errno("setresuid");
  if (uid) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> none{};
    if (::syscall(SYS_capset, &header, none.data()) != 0) return fail_errno("capset");
    std::array<__user_cap_data_struct, 2> now{};
    if (::syscall(SYS_capget, &header, now.data()) != 0) return fail_errno("capget");
    for (const auto& part : now)
      if ((part.effective | part.permitted | part.inheritable) != 0)
        return fail(Code::kInternal, "a capability is left after all were dropped");
    if (*uid != 0 && ::setresuid(0, 0, 0) == 0)
      return fail(Code::kInternal, "the process can become root again");
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("no_new_privs");
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail_errno("not dumpable");
  return {};
}

Status confine_system_calls() {
  std::vector<sock_filter> program;
  auto add = [&program](uint16_t code, uint32_t value, uint8_t yes = 0, uint8_t no = 0) {
    program.push_back({code, yes, no, value});
  };
  add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch));
  add(BPF_JMP | BPF_JEQ | BPF_K, kArch, 1, 0);
  add(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
  // Executable memory: mmap asks for it in its third argument, mprotect likewise.
  for (long call : {long{SYS_mmap}, long{SYS_mprotect}}) {
    add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 4);
    add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2]));
    add(BPF_JMP | BPF_JSET | BPF_K, kProtExec, 1, 0);
    add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
  }
  for (long call : kAllowed) {
    add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1);
    add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  }
  add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
  const sock_fprog all{static_cast<unsigned short>(program.size()), program.data()};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &all) != 0)
    return fail_errno("seccomp");
  return {};
}

}  // namespace sallyport::proxy
