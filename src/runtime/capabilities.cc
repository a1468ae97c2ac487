#include "runtime/capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

namespace sallyport::runtime {
namespace {

// What a pod gets, may add, or never gets: with no user namespace these are powers over the host.
enum class Grant { kDefault, kOnRequest, kNever };

struct Known {
  std::string_view name;
  int number;
  Grant grant;
};

constexpr std::array kKnown{
    Known{"CHOWN", CAP_CHOWN, Grant::kDefault},
    Known{"DAC_OVERRIDE", CAP_DAC_OVERRIDE, Grant::kDefault},
    Known{"DAC_READ_SEARCH", CAP_DAC_READ_SEARCH, Grant::kNever},
    Known{"FOWNER", CAP_FOWNER, Grant::kDefault},
    Known{"FSETID", CAP_FSETID, Grant::kDefault},
    Known{"KILL", CAP_KILL, Grant::kDefault},
    Known{"SETGID", CAP_SETGID, Grant::kDefault},
    Known{"SETUID", CAP_SETUID, Grant::kDefault},
    Known{"SETPCAP", CAP_SETPCAP, Grant::kDefault},
    Known{"LINUX_IMMUTABLE", CAP_LINUX_IMMUTABLE, Grant::kNever},
    Known{"NET_BIND_SERVICE", CAP_NET_BIND_SERVICE, Grant::kDefault},
    Known{"NET_BROADCAST", CAP_NET_BROADCAST, Grant::kOnRequest},
    Known{"NET_ADMIN", CAP_NET_ADMIN, Grant::kOnRequest},
    Known{"NET_RAW", CAP_NET_RAW, Grant::kDefault},
    Known{"IPC_LOCK", CAP_IPC_LOCK, Grant::kOnRequest},
    Known{"IPC_OWNER", CAP_IPC_OWNER, Grant::kOnRequest},
    Known{"SYS_MODULE", CAP_SYS_MODULE, Grant::kNever},
    Known{"SYS_RAWIO", CAP_SYS_RAWIO, Grant::kNever},
    Known{"SYS_CHROOT", CAP_SYS_CHROOT, Grant::kDefault},
    Known{"SYS_PTRACE", CAP_SYS_PTRACE, Grant::kNever},
    Known{"SYS_PACCT", CAP_SYS_PACCT, Grant::kNever},
    Known{"SYS_ADMIN", CAP_SYS_ADMIN, Grant::kNever},
    Known{"SYS_BOOT", CAP_SYS_BOOT, Grant::kNever},
    Known{"SYS_NICE", CAP_SYS_NICE, Grant::kOnRequest},
    Known{"SYS_RESOURCE", CAP_SYS_RESOURCE, Grant::kNever},
    Known{"SYS_TIME", CAP_SYS_TIME, Grant::kNever},
    Known{"SYS_TTY_CONFIG", CAP_SYS_TTY_CONFIG, Grant::kNever},
    Known{"MKNOD", CAP_MKNOD, Grant::kDefault},
    Known{"LEASE", CAP_LEASE, Grant::kOnRequest},
    Known{"AUDIT_WRITE", CAP_AUDIT_WRITE, Grant::kDefault},
    Known{"AUDIT_CONTROL", CAP_AUDIT_CONTROL, Grant::kNever},
    Known{"SETFCAP", CAP_SETFCAP, Grant::kDefault},
    Known{"MAC_OVERRIDE", CAP_MAC_OVERRIDE, Grant::kNever},
    Known{"MAC_ADMIN", CAP_MAC_ADMIN, Grant::kNever},
    Known{"SYSLOG", CAP_SYSLOG, Grant::kNever},
    Known{"WAKE_ALARM", CAP_WAKE_ALARM, Grant::kNever},
    Known{"BLOCK_SUSPEND", CAP_BLOCK_SUSPEND, Grant::kNever},
    Known{"AUDIT_READ", CAP_AUDIT_READ, Grant::kNever},
    Known{"PERFMON", CAP_PERFMON, Grant::kNever},
    Known{"BPF", CAP_BPF, Grant::kNever},
    Known{"CHECKPOINT_RESTORE", CAP_CHECKPOINT_RESTORE, Grant::kNever},
};

constexpr CapabilitySet bit(int number) {
  return CapabilitySet{1} << number;
}

Result<Known> find(std::string_view name) {
  std::string_view plain = name.starts_with("CAP_") ? name.substr(4) : name;
  auto found = std::find_if(kKnown.begin(), kKnown.end(),
                            [&](const Known& known) { return known.name == plain; });
  if (found == kKnown.end())
    return fail(Code::kInvalid, "unknown capability \"" + std::string(name) + "\"");
  return *found;
}

}  // namespace

CapabilitySet default_capabilities() {
  CapabilitySet set = 0;
  for (const Known& known : kKnown)
    if (known.grant == Grant::kDefault) set |= bit(known.number);
  return set;
}

Result<CapabilitySet> container_capabilities(const std::vector<std::string>& add,
                                             const std::vector<std::string>& drop) {
  CapabilitySet set = default_capabilities();
  for (const std::string& name : drop) {
    if (name == "ALL") {
      set = 0;
      continue;
    }
    SP_TRY(Known known, find(name));
    set &= ~bit(known.number);
  }
  for (const std::string& name : add) {
    if (name == "ALL")
      return fail(Code::kDenied,
                  "capability ALL cannot be added: it would let the container leave its isolation; "
                  "name the ones that it needs");
    SP_TRY(Known known, find(name));
    if (known.grant == Grant::kNever)
      return fail(Code::kDenied, "capability " + std::string(known.name) +
                                     " cannot be added: it would let the container leave its "
                                     "isolation");
    set |= bit(known.number);
  }
  return set;
}

Status limit_bounding_set(CapabilitySet keep) {
  for (int number = 0; number < 64; ++number) {
    if (keep & bit(number)) continue;
    if (::prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) break;  // above the last capability of this kernel
    return fail_errno("drop capability " + std::to_string(number));
  }
  return {};
}

Status set_capabilities(CapabilitySet set) {
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
    return fail_errno("clear ambient capabilities");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  data[0].effective = data[0].permitted = static_cast<uint32_t>(set);
  data[1].effective = data[1].permitted = static_cast<uint32_t>(set >> 32);
  if (::syscall(SYS_capset, &header, data) != 0) return fail_errno("capset");
  return {};
}

}  // namespace sallyport::runtime
