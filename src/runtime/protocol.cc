#include "runtime/protocol.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cstring>

#include "codec/json.h"

namespace sallyport::runtime {
namespace {

constexpr size_t kInlineLimit = 32 << 10;
constexpr size_t kBodyLimit = 64 << 20;
constexpr size_t kMaxFds = 200;

// A short path for a name in a directory: /proc/self/fd/N/NAME, so that the 108 bytes of sun_path
// always suffice.
Result<sockaddr_un> address_in(const Fd& dir, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string path = "/proc/self/fd/" + std::to_string(dir.get()) + "/" + name;
  if (path.size() >= sizeof address.sun_path)
    return fail(Code::kInvalid, "socket name is too long: " + name);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

}  // namespace

Result<Fd> memory_file(std::string_view content) {
  Fd fd(::memfd_create("sallyport", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return fail_errno("memfd_create");
  size_t done = 0;
  while (done < content.size()) {
    ssize_t n = ::write(fd.get(), content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("write to a memory file");
    done += static_cast<size_t>(n);
  }
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return fail_errno("seal a memory file");
  return fd;
}

Result<std::string> read_memory_file(int fd) {
  struct stat st{};
  if (::fstat(fd, &st) != 0) return fail_errno("stat of a memory file");
  if (st.st_size < 0 || static_cast<size_t>(st.st_size) > kBodyLimit)
    return fail(Code::kExhausted, "message body is larger than 64 MiB");
  std::string data(static_cast<size_t>(st.st_size), '\0');
  size_t done = 0;
  while (done < data.size()) {
    ssize_t n = ::pread(fd, data.data() + done, data.size() - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read of a memory file");
    if (n == 0) return fail(Code::kInvalid, "memory file is shorter than its size");
    done += static_cast<size_t>(n);
  }
  return data;
}

Status send_message(int socket, const codec::Value& body, std::span<const int> fds) {
  std::string text = codec::write_json(body);
  std::vector<int> all(fds.begin(), fds.end());
  Fd large;
  if (text.size() > kInlineLimit) {
    SP_TRY(large, memory_file(text));
    all.insert(all.begin(), large.get());
    text = "M";  // the body is the first descriptor
  } else {
    text.insert(text.begin(), 'I');
  }
  if (all.size() > kMaxFds) return fail(Code::kExhausted, "more than 200 descriptors in a message");

  iovec part{text.data(), text.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  std::vector<char> control(CMSG_SPACE(all.size() * sizeof(int)));
  if (!all.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* first = CMSG_FIRSTHDR(&header);
    first->cmsg_level = SOL_SOCKET;
    first->cmsg_type = SCM_RIGHTS;
    first->cmsg_len = CMSG_LEN(all.size() * sizeof(int));
    std::memcpy(CMSG_DATA(first), all.data(), all.size() * sizeof(int));
  }
  while (::sendmsg(socket, &header, MSG_NOSIGNAL) < 0) {
    if (errno == EINTR) continue;
    return fail_errno("send to the pod's shim");
  }
  return {};
}

Result<std::optional<Message>> receive_message(int socket) {
  std::vector<char> buffer(kInlineLimit + 1024);
  alignas(cmsghdr) std::array<char, CMSG_SPACE((kMaxFds + 1) * sizeof(int))> control{};
  iovec part{buffer.data(), buffer.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t n = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  if (n < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
      return fail(Code::kUnavailable, "no answer from the pod's shim in time");
    if (errno == ECONNRESET) return std::optional<Message>();
    return fail_errno("receive from the pod's shim");
  }
  Message message;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      message.fds.emplace_back(fd);
    }
  }
  if (n == 0) return std::optional<Message>();
  if (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
    return fail(Code::kInvalid, "message is larger than the protocol allows");
  std::string text(buffer.data(), static_cast<size_t>(n));
  if (text[0] == 'M') {
    if (message.fds.empty()) return fail(Code::kInvalid, "message without its body");
    SP_TRY(text, read_memory_file(message.fds.front().get()));
    message.fds.erase(message.fds.begin());
  } else {
    text.erase(0, 1);
  }
  SP_TRY(message.body, codec::parse_json(text, kBodyLimit));
  return std::optional(std::move(message));
}

Result<Fd> listen_in(const std::string& dir, const std::string& name) {
  Fd parent(::open(dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!parent) return fail_errno(dir);
  SP_TRY(sockaddr_un address, address_in(parent, name));
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno("socket");
  // The mode of the socket file follows the umask: only its owner may connect.
  mode_t before = ::umask(0177);
  int bound = ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  int err = errno;
  ::umask(before);
  if (bound != 0) return fail_errno("bind " + dir + "/" + name, err);
  if (::listen(socket.get(), 64) != 0) return fail_errno("listen on " + dir + "/" + name);
  return socket;
}

Result<Fd> connect_in(const std::string& dir, const std::string& name) {
  Fd parent(::open(dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!parent) return fail_errno(dir);
  SP_TRY(sockaddr_un address, address_in(parent, name));
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("socket");
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return fail_errno("connect to " + dir + "/" + name);
  return socket;
}

}  // namespace sallyport::runtime
