#include "mesh/channel.h"

#include <sys/socket.h>

#include <array>
#include <cstring>
#include <limits>

#include "codec/json.h"
#include "mesh/messages.h"

namespace sallyport::mesh {
namespace {

constexpr size_t kMostBytes = 64 << 10;
// Room for more than may come, so that too many are seen as such.
constexpr size_t kControlBytes = CMSG_SPACE(sizeof(int) * (kMostDescriptors + 1));
constexpr int kBufferBytes = 1 << 20;

struct Received {
  std::string text;
  std::vector<Fd> fds;
};

Status send_packet(int socket, const Packet& packet) {
  if (packet.text.size() > kMostBytes || packet.fds.size() > kMostDescriptors)
    return fail(Code::kInvalid, "a message of " + std::to_string(packet.text.size()) +
                                    " bytes and " + std::to_string(packet.fds.size()) +
                                    " descriptors is too large for the control channel");
  msghdr message{};
  iovec part{const_cast<char*>(packet.text.data()), packet.text.size()};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, kControlBytes> control{};
  if (!packet.fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(sizeof(int) * packet.fds.size());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * packet.fds.size());
    std::memcpy(CMSG_DATA(header), packet.fds.data(), sizeof(int) * packet.fds.size());
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return {};
  switch (errno) {
    case EAGAIN:
    case ENOBUFS:
    case ETOOMANYREFS:  // too many descriptors are on their way
      return fail(Code::kUnavailable, "the other side of the control channel reads too slowly");
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
      return fail(Code::kNotFound, "the other side of the control channel is gone");
    default:
      return fail_errno("send on the control channel");
  }
}

Result<Received> receive_packet(int socket) {
  Received out;
  out.text.resize(kMostBytes + 1);
  msghdr message{};
  iovec part{out.text.data(), out.text.size()};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, kControlBytes> control{};
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK)
      return fail(Code::kUnavailable, "no message on the control channel");
    if (errno == ECONNRESET || errno == ENOTCONN)
      return fail(Code::kNotFound, "the other side of the control channel is gone");
    return fail_errno("receive on the control channel");
  }
  // Owned before anything is judged: a refused message leaks nothing.
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      out.fds.emplace_back(fd);
    }
  }
  if (got == 0) return fail(Code::kNotFound, "the other side of the control channel is gone");
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
      static_cast<size_t>(got) > kMostBytes || out.fds.size() > kMostDescriptors)
    return fail(Code::kInvalid, "a message on the control channel is too large");
  out.text.resize(static_cast<size_t>(got));
  return out;
}

}  // namespace

Result<std::pair<Fd, Fd>> make_channel() {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    return fail_errno("make a control channel");
  std::pair<Fd, Fd> out{Fd(ends[0]), Fd(ends[1])};
  for (int end : ends)
    // Without the privilege the default has to do: send() tells when it is full.
    (void)::setsockopt(end, SOL_SOCKET, SO_SNDBUFFORCE, &kBufferBytes, sizeof kBufferBytes);
  return out;
}

Status Channel::send(const ToProxy& message) {
  return send_packet(socket_.get(), encode_message(message));
}

Status Channel::send(const ToNode& message) {
  return send_packet(socket_.get(), encode_message(message));
}

Result<ToProxy> Channel::receive_to_proxy() {
  SP_TRY(Received received, receive_packet(socket_.get()));
  return decode_to_proxy(received.text, std::move(received.fds));
}

Result<ToNode> Channel::receive_to_node() {
  SP_TRY(Received received, receive_packet(socket_.get()));
  return decode_to_node(received.text, std::move(received.fds));
}

}  // namespace sallyport::mesh
