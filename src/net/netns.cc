#include "net/netns.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstring>
#include <exception>
#include <system_error>
#include <thread>

#include "base/fs.h"

namespace sallyport::net {
namespace {

// setns and unshare act on the calling thread only; the thread dies with what it changed.
Status on_thread(const std::function<Status()>& work) {
  Status outcome;
  try {
    std::thread thread([&] {
      try {
        outcome = work();
      } catch (const std::exception& e) {
        outcome = fail(Code::kInternal, std::string("in a network namespace: ") + e.what());
      }
    });
    thread.join();
  } catch (const std::system_error& e) {
    return fail(Code::kUnavailable, std::string("cannot start a thread: ") + e.what());
  }
  return outcome;
}

Status loopback_up() {
  Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("socket");
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  if (::ioctl(fd.get(), SIOCGIFFLAGS, &request) != 0) return fail_errno("flags of lo");
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (::ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) return fail_errno("lo up");
  return {};
}

}  // namespace

Result<Fd> create_netns() {
  Fd made;
  SP_CHECK_OK(on_thread([&]() -> Status {
    if (::unshare(CLONE_NEWNET) != 0) return fail_errno("create a network namespace");
    SP_CHECK_OK(loopback_up());
    made = Fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!made) return fail_errno("open /proc/thread-self/ns/net");
    return {};
  }));
  return made;
}

Result<Fd> open_netns(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) {
    if (errno == ENOENT) return fail(Code::kNotFound, "no network namespace at " + path);
    return fail_errno("open network namespace " + path);
  }
  struct statfs fs{};
  if (::fstatfs(fd.get(), &fs) != 0) return fail_errno("statfs " + path);
  if (fs.f_type != NSFS_MAGIC || ::ioctl(fd.get(), NS_GET_NSTYPE) != CLONE_NEWNET)
    return fail(Code::kInvalid, path + " is not a network namespace");
  return fd;
}

Status keep_netns(int fd, const std::string& path) {
  if (size_t slash = path.rfind('/'); slash != std::string::npos && slash > 0)
    SP_CHECK_OK(make_dirs(path.substr(0, slash)));
  Fd file(::open(path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400));
  if (!file) {
    if (errno == EEXIST) return fail(Code::kConflict, path + " exists already");
    return fail_errno("create " + path);
  }
  file.reset();
  std::string source = "/proc/self/fd/" + std::to_string(fd);
  if (::mount(source.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    int err = errno;
    ::unlink(path.c_str());
    return fail_errno("keep a network namespace at " + path, err);
  }
  return {};
}

Status drop_netns(const std::string& path) {
  // EINVAL: the file is there, but nothing is mounted on it (a keep_netns that was cut short).
  if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL &&
      errno != ENOENT)
    return fail_errno("unmount " + path);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno("remove " + path);
  return {};
}

Status in_netns(int fd, const std::function<Status()>& work) {
  return on_thread([&]() -> Status {
    if (::setns(fd, CLONE_NEWNET) != 0) return fail_errno("enter a network namespace");
    return work();
  });
}

Result<Fd> socket_in(int netns_fd, int domain, int type, int protocol) {
  Fd made;
  SP_CHECK_OK(in_netns(netns_fd, [&]() -> Status {
    made = Fd(::socket(domain, type | SOCK_CLOEXEC, protocol));
    if (!made) return fail_errno("socket");
    return {};
  }));
  return made;
}

}  // namespace sallyport::net
