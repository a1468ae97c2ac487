#include "runtime/seccomp.h"

#include <linux/audit.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace sallyport::runtime {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArch = AUDIT_ARCH_AARCH64;
#else
#error "no audit architecture is known for this machine"
#endif
constexpr uint32_t kX32Bit = 0x40000000;

// Calls by what they would reach: mounts, kernel code and memory, other processes' memory, keys of
// other pods, the machine's clock and swap. io_uring is here because it makes calls that this
// filter cannot see.
constexpr std::array kRefused{
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_move_mount,
    SYS_open_tree,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_setns,
    SYS_open_by_handle_at,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_pidfd_getfd,
    SYS_kcmp,
    SYS_userfaultfd,
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    SYS_acct,
    SYS_swapon,
    SYS_swapoff,
    SYS_reboot,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_quotactl,
    SYS_quotactl_fd,
    SYS_syslog,
    SYS_vhangup,
    SYS_lookup_dcookie,
    SYS_fanotify_init,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
#if defined(__x86_64__)
    SYS_iopl,
    SYS_ioperm,
    SYS_create_module,
    SYS_modify_ldt,
    SYS_uselib,
    SYS_ustat,
    SYS_sysfs,
#endif
};

constexpr uint32_t kNamespaceFlags = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                     CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

// Everything that a NetworkPolicy can judge, and what stays inside the pod. Others (vsock to the
// hypervisor, for one) know no network namespaces.
constexpr std::array<uint32_t, 5> kFamilies{AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET};

constexpr uint32_t offset_of_arg(int index) {  // low half: both machines are little-endian
  return static_cast<uint32_t>(offsetof(seccomp_data, args) + sizeof(uint64_t) * index);
}

class Program {
 public:
  void load(uint32_t offset) { add(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0); }
  void answer(uint32_t value) { add(BPF_RET | BPF_K, value, 0, 0); }
  void refuse(int error) { answer(SECCOMP_RET_ERRNO | static_cast<uint32_t>(error)); }
  // Runs the next `count` instructions only where the loaded word equals (has any bit of) `value`.
  void when_equal(uint32_t value, uint8_t count) {
    add(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count);
  }
  void unless_equal(uint32_t value, uint8_t count) {
    add(BPF_JMP | BPF_JEQ | BPF_K, value, count, 0);
  }
  void when_any_bit(uint32_t bits, uint8_t count) {
    add(BPF_JMP | BPF_JSET | BPF_K, bits, 0, count);
  }
  [[nodiscard]] std::vector<sock_filter> take() { return std::move(code_); }

 private:
  void add(int code, uint32_t k, uint8_t jt, uint8_t jf) {
    code_.push_back({static_cast<uint16_t>(code), jt, jf, k});
  }
  std::vector<sock_filter> code_;
};

}  // namespace

std::vector<sock_filter> container_filter() {
  Program p;
  p.load(offsetof(seccomp_data, arch));
  p.unless_equal(kArch, 1);
  p.refuse(ENOSYS);  // another architecture's numbers would mean other calls
  p.load(offsetof(seccomp_data, nr));
#if defined(__x86_64__)
  p.when_any_bit(kX32Bit, 1);
  p.refuse(ENOSYS);
#endif
  for (long number : kRefused) {
    p.when_equal(static_cast<uint32_t>(number), 1);
    p.refuse(EPERM);
  }
  p.when_equal(SYS_clone3, 1);
  p.refuse(ENOSYS);  // its flags lie in memory, out of the filter's sight
  for (long number : {static_cast<long>(SYS_clone), static_cast<long>(SYS_unshare)}) {
    p.when_equal(static_cast<uint32_t>(number), 4);
    p.load(offset_of_arg(0));
    p.when_any_bit(kNamespaceFlags, 1);
    p.refuse(EPERM);
    p.answer(SECCOMP_RET_ALLOW);
  }
  for (long number : {static_cast<long>(SYS_socket), static_cast<long>(SYS_socketpair)}) {
    p.when_equal(static_cast<uint32_t>(number), 2 + 2 * kFamilies.size());
    p.load(offset_of_arg(0));
    for (uint32_t family : kFamilies) {
      p.when_equal(family, 1);
      p.answer(SECCOMP_RET_ALLOW);
    }
    p.refuse(EAFNOSUPPORT);
  }
  // Input pushed into a terminal would run in the shell of whoever called `sallyport exec`.
  p.when_equal(SYS_ioctl, 5);
  p.load(offset_of_arg(1));
  p.when_equal(TIOCSTI, 1);
  p.refuse(EPERM);
  p.when_equal(TIOCLINUX, 1);
  p.refuse(EPERM);
  p.answer(SECCOMP_RET_ALLOW);
  return p.take();
}

Status install_container_filter() {
  std::vector<sock_filter> code = container_filter();
  sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
    return fail_errno("install the system call filter");
  return {};
}

}  // namespace sallyport::runtime
