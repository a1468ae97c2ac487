#include "admin/unix_socket.h"

#include <sys/stat.h>

#include <cstring>

namespace sallyport::admin {

Result<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path))
    return fail(Code::kInvalid, "socket path \"" + path + "\" has " + std::to_string(path.size()) +
                                    " bytes; expected 1 to " +
                                    std::to_string(sizeof(address.sun_path) - 1));
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<Fd> connect_unix(const std::string& path) {
  SP_TRY(const sockaddr_un address, unix_address(path));
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0)
    return fd;
  if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
    return fail(Code::kNotFound, "no node listens at " + path);
  return fail_errno(path);
}

Result<UnixListener> listen_unix(const std::string& path) {
  SP_TRY(const sockaddr_un address, unix_address(path));
  struct stat info{};
  if (::lstat(path.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode)) return fail(Code::kConflict, path + " exists and is not a socket");
    auto other = connect_unix(path);
    if (other) return fail(Code::kConflict, "another process listens at " + path);
    if (other.error().code != Code::kNotFound) return std::unexpected(other.error());
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno(path);
  }
  UnixListener result;
  result.fd = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!result.fd) return fail_errno("socket");
  // bind() makes the file with the mode of the socket itself, so that there is no moment with more.
  if (::fchmod(result.fd.get(), 0600) != 0) return fail_errno("fchmod on a socket");
  if (::bind(result.fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return errno == EADDRINUSE
               ? std::unexpected(Error{Code::kConflict, path + " is taken by another process", 0})
               : fail_errno("bind " + path);
  if (::lstat(path.c_str(), &info) != 0 || ::listen(result.fd.get(), 64) != 0) {
    const int err = errno;
    ::unlink(path.c_str());
    return fail_errno(path, err);
  }
  result.inode = info.st_ino;
  return result;
}

void unlink_if_same(const std::string& path, uint64_t inode) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) == 0 && info.st_ino == inode) ::unlink(path.c_str());
}

}  // namespace sallyport::admin
