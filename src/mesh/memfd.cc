// Content that is too large for a message: a memfd that nobody can change any more.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/channel.h"

namespace sallyport::mesh {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

}  // namespace

Result<Fd> to_memfd(std::string_view content, const char* name) {
  Fd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return fail_errno("memfd_create");
  for (size_t done = 0; done < content.size();) {
    ssize_t n = ::write(fd.get(), content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail_errno("write to a memfd");
    done += static_cast<size_t>(n);
  }
  if (::fcntl(fd.get(), F_ADD_SEALS, kSeals | F_SEAL_SEAL) != 0) return fail_errno("seal a memfd");
  return fd;
}

Result<std::string> from_memfd(const Fd& fd, size_t most) {
  // Whatever else a peer may send (a pipe, a file of a slow filesystem) has no seals: it is not
  // read, so that nobody waits for it.
  int seals = ::fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals)
    return fail(Code::kInvalid, "expected a sealed memfd");
  struct stat st{};
  if (::fstat(fd.get(), &st) != 0) return fail_errno("fstat of a memfd");
  if (st.st_size < 0 || static_cast<uint64_t>(st.st_size) > most)
    return fail(Code::kExhausted, "a memfd of " + std::to_string(st.st_size) +
                                      " bytes, expected at most " + std::to_string(most));
  std::string out(static_cast<size_t>(st.st_size), '\0');
  for (size_t done = 0; done < out.size();) {
    ssize_t n = ::pread(fd.get(), out.data() + done, out.size() - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail(Code::kInternal, "a sealed memfd is shorter than it was");
    done += static_cast<size_t>(n);
  }
  return out;
}

}  // namespace sallyport::mesh
