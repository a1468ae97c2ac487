#include "admin/connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "codec/json.h"

namespace sallyport::admin {
namespace {

constexpr size_t kChunk = 64 << 10;
constexpr size_t kMaxFds = 32;  // room for descriptors in one message, either way

}  // namespace

Connection::Connection(Fd socket, uint64_t id, int epoll, const Server::Limits& limits)
    : socket_(std::move(socket)), id_(id), epoll_(epoll), limits_(limits) {
  interest_ = EPOLLIN | EPOLLRDHUP;
  epoll_event event{};
  event.events = interest_;
  event.data.u64 = id_;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, socket_.get(), &event) != 0) broken_ = true;
}

bool Connection::take_control(msghdr& message) {
  for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr;
       control = CMSG_NXTHDR(&message, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof(int));
      in_fds_.emplace_back(fd);
    }
  }
  return (message.msg_flags & MSG_CTRUNC) == 0 && in_fds_.size() <= limits_.fds;
}

bool Connection::read() {
  std::string chunk(kChunk, '\0');
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> control{};
  iovec part{chunk.data(), chunk.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got < 0) {
    if (errno != EAGAIN && errno != EINTR) break_off();
    return true;
  }
  if (!take_control(message)) {
    in_fds_.clear();
    close_when_flushed("too many descriptors with one request; expected at most " +
                       std::to_string(limits_.fds));
    return false;
  }
  if (got == 0) {
    at_end_ = true;
    return true;
  }
  in_.append(chunk.data(), static_cast<size_t>(got));
  const size_t end = in_.find('\n');
  if ((end == std::string::npos ? in_.size() : end) > limits_.request_bytes) {
    close_when_flushed("the request line is too long; expected at most " +
                       std::to_string(limits_.request_bytes) + " bytes");
    return false;
  }
  return true;
}

std::optional<std::string> Connection::take_line() {
  const size_t end = in_.find('\n');
  if (end == std::string::npos) return std::nullopt;
  std::string line = in_.substr(0, end);
  in_.erase(0, end + 1);
  return line;
}

void Connection::enqueue(std::string line, std::vector<Fd> fds) {
  if (broken_ || closing_) return;
  line += '\n';
  if (pending_ + line.size() > limits_.output_bytes) {
    close_when_flushed("more than " + std::to_string(limits_.output_bytes) +
                       " bytes of output wait for this client; expected it to read faster");
    return;
  }
  pending_ += line.size();
  out_.push_back({std::move(line), 0, std::move(fds)});
  flush();
  update_interest();
}

void Connection::offer_lost_count() {
  if (lost == 0 || pending_ > limits_.offer_bytes / 2) return;
  const uint64_t count = std::exchange(lost, 0);
  enqueue("{\"lost\":" + std::to_string(count) + "}");
}

void Connection::close_when_flushed(std::string_view error) {
  if (broken_ || closing_) return;
  closing_ = true;
  in_.clear();
  // A line of which a part has gone out must be completed; all behind it is given up.
  while (!out_.empty() && (out_.size() > 1 || out_.front().sent == 0)) {
    pending_ -= out_.back().bytes.size() - out_.back().sent;
    out_.pop_back();
  }
  std::string line = "{\"error\":" + codec::quote_json(error) + "}\n";
  pending_ += line.size();
  out_.push_back({std::move(line), 0, {}});
  flush();
  // Wakes the loop, also where the client reads nothing, so that the request's owner is told.
  ::shutdown(socket_.get(), SHUT_RD);
}

void Connection::close_after_output() {
  closing_ = true;
  in_.clear();
}

ssize_t Connection::send_front(Output& item) const {
  iovec part{item.bytes.data() + item.sent, item.bytes.size() - item.sent};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (item.fds.size() > kMaxFds) {
    errno = EINVAL;
    return -1;
  }
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> control{};
  if (!item.fds.empty()) {
    const size_t bytes = item.fds.size() * sizeof(int);
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(bytes);
    for (size_t i = 0; i < item.fds.size(); ++i) {
      const int fd = item.fds[i].get();
      std::memcpy(CMSG_DATA(header) + i * sizeof(int), &fd, sizeof(int));
    }
  }
  return ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Connection::flush() {
  while (!out_.empty() && !broken_) {
    Output& item = out_.front();
    const ssize_t sent = send_front(item);
    if (sent < 0) {
      if (errno == EAGAIN) return;
      if (errno != EINTR) break_off();
      continue;
    }
    item.fds.clear();  // they went with the first byte
    item.sent += static_cast<size_t>(sent);
    pending_ -= static_cast<size_t>(sent);
    if (item.sent == item.bytes.size()) out_.pop_front();
  }
}

void Connection::break_off() {
  broken_ = true;
  out_.clear();
  pending_ = 0;
  // The loop sees the hang-up and does the rest.
  ::shutdown(socket_.get(), SHUT_RDWR);
}

void Connection::update_interest() {
  if (!socket_ || epoll_ < 0) return;
  uint32_t wanted = 0;
  if (!closing_) {
    wanted |= EPOLLRDHUP;
    if (!busy) wanted |= EPOLLIN;
  }
  // A request that is already here waits for no input: being writable is reason enough to look.
  if (!out_.empty() || on_drain || (!busy && has_line()) || closing_) wanted |= EPOLLOUT;
  if (wanted == interest_) return;
  epoll_event event{};
  event.events = wanted;
  event.data.u64 = id_;
  if (::epoll_ctl(epoll_, EPOLL_CTL_MOD, socket_.get(), &event) == 0) interest_ = wanted;
}

void Connection::gone() {
  broken_ = true;
  epoll_ = -1;
  busy = false;
  out_.clear();
  pending_ = 0;
  in_fds_.clear();
  socket_.reset();
}

}  // namespace sallyport::admin
