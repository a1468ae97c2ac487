#include "admin/client.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "admin/unix_socket.h"
#include "codec/json.h"

namespace sallyport::admin {
namespace {

constexpr size_t kMaxLine = 64 << 20;  // above what a node ever lets wait for one client
constexpr size_t kMaxFds = 32;

}  // namespace

Result<Client> Client::connect(const std::string& path) {
  SP_TRY(Fd socket, connect_unix(path));
  return Client(std::move(socket));
}

Status Client::request(const codec::Value& request, const std::vector<int>& fds) {
  if (fds.size() > kMaxFds)
    return fail(Code::kInvalid, "too many descriptors with one request; expected at most " +
                                    std::to_string(kMaxFds));
  const std::string line = codec::write_json(request) + "\n";
  for (size_t sent = 0; sent < line.size();) {
    iovec part{const_cast<char*>(line.data()) + sent, line.size() - sent};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> control{};
    if (sent == 0 && !fds.empty()) {
      const size_t bytes = fds.size() * sizeof(int);
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(bytes);
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(bytes);
      std::memcpy(CMSG_DATA(header), fds.data(), bytes);
    }
    const ssize_t count = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
    if (count < 0) {
      if (errno == EINTR) continue;
      // The node may have said why it closed.
      if (errno == EPIPE || errno == ECONNRESET) return {};
      return fail_errno("send to the node");
    }
    sent += static_cast<size_t>(count);
  }
  return {};
}

Result<std::string> Client::read_line() {
  size_t scanned = start_;
  for (;;) {
    const size_t end = buffer_.find('\n', scanned);
    if (end != std::string::npos) {
      std::string line = buffer_.substr(start_, end - start_);
      start_ = end + 1;
      return line;
    }
    buffer_.erase(0, start_);
    start_ = 0;
    scanned = buffer_.size();
    if (buffer_.size() > kMaxLine)
      return fail(Code::kExhausted, "the node's answer has a line of more than " +
                                        std::to_string(kMaxLine) + " bytes");
    std::array<char, 64 << 10> chunk;
    iovec part{chunk.data(), chunk.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t count = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
    if (count < 0) {
      if (errno == EINTR) continue;
      if (errno != ECONNRESET) return fail_errno("read from the node");
    }
    if (count <= 0)
      return fail(Code::kUnavailable, "the node closed the connection before its answer was whole");
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
      const size_t fds = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < fds; ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
        fds_.emplace_back(fd);
      }
    }
    buffer_.append(chunk.data(), static_cast<size_t>(count));
  }
}

Result<std::optional<codec::Value>> Client::next() {
  for (;;) {
    SP_TRY(const std::string line, read_line());
    auto answer = codec::parse_json(line, kMaxLine);
    if (!answer)
      return fail(Code::kInternal, "the node's answer is not JSON: " + answer.error().message);
    if (codec::Value* record = answer->find("record"); record != nullptr)
      return std::optional<codec::Value>(std::move(*record));
    if (const codec::Value* lost = answer->find("lost"); lost != nullptr) {
      lost_ += static_cast<uint64_t>(lost->as_int());
      continue;
    }
    if (const codec::Value* error = answer->find("error"); error != nullptr)
      return fail(Code::kInvalid, error->as_string());
    if ((*answer)["done"].as_bool()) {
      exit_code_ = static_cast<int>((*answer)["exit"].as_int());
      return std::optional<codec::Value>();
    }
    return fail(Code::kInternal, "the node's answer is of an unknown kind: " + line.substr(0, 200));
  }
}

std::vector<Fd> Client::take_fds() {
  return std::exchange(fds_, {});
}

uint64_t Client::take_lost() {
  return std::exchange(lost_, 0);
}

}  // namespace sallyport::admin
