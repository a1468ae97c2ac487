#include "net/sysctl.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/strings.h"
#include "net/netns.h"

namespace sallyport::net {
namespace {

std::string path_of(const std::string& name) {
  return "/proc/sys/net/" + name;
}

}  // namespace

Status set_sysctls_here(const std::vector<Sysctl>& settings) {
  for (const Sysctl& setting : settings) {
    std::string path = path_of(setting.name);
    Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd) return fail_errno("set " + path);
    ssize_t n = ::write(fd.get(), setting.value.data(), setting.value.size());
    if (n < 0) return fail_errno("set " + path + " to " + setting.value);
  }
  return {};
}

Status set_sysctls(int netns_fd, const std::vector<Sysctl>& settings) {
  return in_netns(netns_fd, [&] { return set_sysctls_here(settings); });
}

Result<std::string> get_sysctl(int netns_fd, const std::string& name) {
  std::string value;
  SP_CHECK_OK(in_netns(netns_fd, [&]() -> Status {
    SP_TRY(std::string text, read_file(path_of(name), 64 << 10));
    value = std::string(trim(text));
    return {};
  }));
  return value;
}

}  // namespace sallyport::net
