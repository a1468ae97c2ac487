#include "gate/links.h"

#include <bpf/bpf.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <span>
#include <thread>

namespace sallyport::gate {

namespace {

constexpr std::array<LinkPlace, 4> kPlaces = {{{"link_forward4", 2, 2},
                                               {"link_forward6", 10, 2},
                                               {"link_local4", 2, 1},
                                               {"link_local6", 10, 1}}};

// Before filter (0) and before source translation, after defragmentation and connection tracking
// have seen the packet. Two of them, for upgrades.
constexpr std::array<int32_t, 2> kPriorities = {-100, -101};

// uapi/linux/bpf.h of Linux 6.4; Debian 12's headers are older.
constexpr int kLinkCreate = 28;
constexpr uint32_t kAttachNetfilter = 45;
constexpr uint32_t kDefragment = 1;
struct LinkCreate {
  uint32_t program_fd, target_fd, attach_type, flags;
  uint32_t family, hook;
  int32_t priority;
  uint32_t netfilter_flags;
  std::array<uint8_t, 32> rest;  // the kernel wants what it does not know to be zero
};
struct LinkInfo {
  uint32_t type, id, program_id, unused;
  uint32_t family, hook;
  int32_t priority;
  uint32_t netfilter_flags;
  std::array<uint8_t, 96> rest;
};

Result<Fd> create_link(const LinkPlace& place, int program_fd, int32_t priority) {
  LinkCreate attr{};
  attr.program_fd = static_cast<uint32_t>(program_fd);
  attr.attach_type = kAttachNetfilter;
  attr.family = place.family;
  attr.hook = place.hook;
  attr.priority = priority;
  attr.netfilter_flags = kDefragment;
  Fd link(static_cast<int>(::syscall(SYS_bpf, kLinkCreate, &attr, sizeof(attr))));
  if (!link) return fail_errno(std::string("attaching the gate at ") + place.name);
  return link;
}

Result<LinkInfo> link_info(int fd) {
  LinkInfo info{};
  uint32_t size = sizeof(info);
  if (::bpf_obj_get_info_by_fd(fd, &info, &size) != 0)
    return fail_errno("asking the kernel about a pinned link");
  return info;
}

Result<uint32_t> program_id(int fd) {
  bpf_prog_info info{};
  uint32_t size = sizeof(info);
  if (::bpf_obj_get_info_by_fd(fd, &info, &size) != 0)
    return fail_errno("asking the kernel about the gate's program");
  return info.id;
}

// Pins the link under its name; an older pin of that name is replaced in one step.
Status pin_link(int fd, const std::string& path) {
  const std::string fresh = path + "_new";
  ::unlink(fresh.c_str());
  if (::bpf_obj_pin(fd, fresh.c_str()) != 0) return fail_errno("pinning " + fresh);
  if (::rename(fresh.c_str(), path.c_str()) != 0) return fail_errno("renaming " + fresh);
  return {};
}

bool is_taken(const Error& error) {
  return error.os_errno == EBUSY || error.os_errno == EEXIST;
}

// The first of `priorities` that is free in this namespace.
Result<Fd> create_at(std::span<const int32_t> priorities, const LinkPlace& place, int program_fd) {
  for (const int32_t priority : priorities) {
    auto link = create_link(place, program_fd, priority);
    if (link || !is_taken(link.error())) return link;
  }
  return fail(Code::kConflict,
              std::string(place.name) +
                  ": the gate's priorities (-100, -101) are taken in this network namespace by "
                  "links of another owner");
}

// In the right namespace already.
Status attach_place(const LinkPlace& place, const std::string& dir, int program_fd,
                    uint32_t program) {
  const std::string path = dir + "/" + place.name;
  const Fd old(::bpf_obj_get(path.c_str()));
  if (!old && errno != ENOENT) return fail_errno("opening " + path);
  Fd fresh;
  if (old) {
    SP_TRY(const LinkInfo known, link_info(old.get()));
    // The kernel does not say in which namespace a link is. Where its own priority is taken here,
    // it is here; where it is free, the pinned one is in another namespace, or detached.
    auto probe = create_link(place, program_fd, known.priority);
    if (probe) {
      fresh = std::move(*probe);
    } else if (!is_taken(probe.error())) {
      return std::unexpected(std::move(probe).error());
    } else if (known.program_id == program) {
      return {};
    }
  }
  if (!fresh) {
    SP_TRY(fresh, create_at(kPriorities, place, program_fd));
  }
  SP_CHECK_OK(pin_link(fresh.get(), path));
  if (old) ::bpf_link_detach(old.get());
  return {};
}

}  // namespace

Status attach_links(const std::string& dir, int program_fd, int netns_fd) {
  SP_TRY(const uint32_t program, program_id(program_fd));
  Status status;
  // The link goes into the namespace of the thread that makes it.
  std::thread worker([&] {
    if (netns_fd >= 0 && ::setns(netns_fd, CLONE_NEWNET) != 0) {
      status = fail_errno("entering the node's network namespace");
      return;
    }
    for (const auto& place : kPlaces) {
      status = attach_place(place, dir, program_fd, program);
      if (!status) return;
    }
  });
  worker.join();
  return status;
}

Status detach_links(const std::string& dir) {
  Status status;
  for (const auto& place : kPlaces) {
    for (const char* suffix : {"", "_new"}) {
      const std::string path = dir + "/" + place.name + suffix;
      const Fd link(::bpf_obj_get(path.c_str()));
      // The pin alone does not hold it: another process may have it open.
      if (link) ::bpf_link_detach(link.get());
      if (::unlink(path.c_str()) != 0 && errno != ENOENT && status)
        status = fail_errno("unpinning " + path);
    }
  }
  return status;
}

}  // namespace sallyport::gate
