#include "net/netlink_socket.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>

#include "net/netns.h"

#ifndef NETLINK_GET_STRICT_CHK
#define NETLINK_GET_STRICT_CHK 12
#endif

namespace sallyport::net {
namespace {

std::unexpected<Error> kernel_error(std::string_view what, int err, const std::string& words) {
  Error error = fail_errno(what, err).error();
  if (!words.empty()) error.message += " (" + words + ")";
  if (err == ENOENT || err == ENODEV || err == ESRCH || err == ENXIO || err == EADDRNOTAVAIL)
    error.code = Code::kNotFound;
  if (err == EEXIST) error.code = Code::kConflict;
  return std::unexpected(std::move(error));
}

// The text that the kernel adds to an error, after the (possibly capped) copy of the request.
std::string extended_words(const nlmsghdr& header, Bytes payload) {
  if (!(header.nlmsg_flags & NLM_F_ACK_TLVS)) return {};
  size_t skip = sizeof(nlmsgerr);
  if (!(header.nlmsg_flags & NLM_F_CAPPED)) {
    nlmsgerr body{};
    if (!read_as(payload, body)) return {};
    skip += body.msg.nlmsg_len - std::min<size_t>(body.msg.nlmsg_len, sizeof(nlmsghdr));
  }
  std::string words;
  each_attribute(after(payload, skip), [&](uint16_t type, Bytes data) {
    if (type == NLMSGERR_ATTR_MSG) words = text_of(data);
  });
  return words;
}

}  // namespace

Result<NetlinkSocket> NetlinkSocket::open(int netns_fd, int protocol) {
  Fd fd;
  if (netns_fd < 0) {
    fd = Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
    if (!fd) return fail_errno("netlink socket");
  } else {
    SP_TRY(fd, socket_in(netns_fd, AF_NETLINK, SOCK_RAW, protocol));
  }
  int on = 1;
  ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  if (protocol == NETLINK_ROUTE)
    ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
  // A kernel that never answers must not hold the node: every wait is bounded.
  timeval limit{10, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  return NetlinkSocket(std::move(fd));
}

Status NetlinkSocket::request(MessageBuilder message, std::string_view what) {
  SP_CHECK_OK(send(message.finish(++sequence_, NLM_F_ACK), what));
  return receive(false, what, [](uint16_t, Bytes) {});
}

Status NetlinkSocket::query(MessageBuilder message, std::string_view what, const Each& each) {
  const auto& data = message.finish(++sequence_, 0);
  nlmsghdr header{};
  std::memcpy(&header, data.data(), sizeof header);
  bool dump = (header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  // A single answer is followed by an acknowledgement, so that both kinds have a clear end.
  SP_CHECK_OK(send(dump ? data : message.finish(sequence_, NLM_F_ACK), what));
  return receive(dump, what, each);
}

Status NetlinkSocket::send(const std::vector<uint8_t>& message, std::string_view what) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  while (::sendto(fd_.get(), message.data(), message.size(), 0,
                  reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) < 0)
    if (errno != EINTR) return fail_errno(what);
  return {};
}

Status NetlinkSocket::receive(bool dump, std::string_view what, const Each& each) {
  bool interrupted = false;
  while (true) {
    sockaddr_nl from{};
    socklen_t from_size = sizeof from;
    ssize_t n = ::recvfrom(fd_.get(), buffer_.data(), buffer_.size(), MSG_TRUNC,
                           reinterpret_cast<sockaddr*>(&from), &from_size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(what);
    if (static_cast<size_t>(n) > buffer_.size())
      return fail(Code::kInternal, std::string(what) + ": an answer of the kernel is too long");
    if (from.nl_pid != 0) continue;  // another process, not the kernel
    Bytes rest(buffer_.data(), static_cast<size_t>(n));
    nlmsghdr header{};
    while (read_as(rest, header)) {
      if (header.nlmsg_len < sizeof header || header.nlmsg_len > rest.size())
        return fail(Code::kInternal, std::string(what) + ": a malformed answer of the kernel");
      Bytes payload = rest.subspan(sizeof header, header.nlmsg_len - sizeof header);
      size_t step = (size_t{header.nlmsg_len} + 3) & ~size_t{3};
      rest = rest.subspan(std::min(step, rest.size()));
      if (header.nlmsg_seq != sequence_) continue;  // left over from a request that timed out
      if (header.nlmsg_flags & NLM_F_DUMP_INTR) interrupted = true;
      if (header.nlmsg_type == NLMSG_ERROR || (dump && header.nlmsg_type == NLMSG_DONE)) {
        int error = 0;
        if (!read_as(payload, error) && header.nlmsg_type == NLMSG_ERROR)
          return fail(Code::kInternal, std::string(what) + ": a malformed answer of the kernel");
        if (error < 0) {
          bool is_error = header.nlmsg_type == NLMSG_ERROR;
          return kernel_error(what, -error, is_error ? extended_words(header, payload) : "");
        }
        if (interrupted)
          return fail(Code::kUnavailable, std::string(what) + ": changed while it was listed");
        return {};
      }
      if (header.nlmsg_type >= NLMSG_MIN_TYPE) each(header.nlmsg_type, payload);
    }
  }
}

}  // namespace sallyport::net
