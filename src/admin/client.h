// The other end of the control socket (see server.h for the protocol): blocking, for commands.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "codec/value.h"

namespace sallyport::admin {

class Client {
 public:
  // kNotFound where no node listens at PATH.
  static Result<Client> connect(const std::string& path);

  // Descriptors are only lent: they are duplicated into the node.
  Status request(const codec::Value& request, const std::vector<int>& fds = {});

  // The next record; nothing after the last one, when exit_code() is known. The node's "error" is
  // an error here (kInvalid). kUnavailable where the connection ends early.
  Result<std::optional<codec::Value>> next();

  [[nodiscard]] int exit_code() const { return exit_code_; }
  // Descriptors that came with the records read so far.
  std::vector<Fd> take_fds();
  // How many records the node left out since the last call, because we read too slowly.
  uint64_t take_lost();
  [[nodiscard]] int fd() const { return socket_.get(); }
  // A record can be had without reading from the socket (before polling fd()).
  [[nodiscard]] bool buffered() const { return buffer_.find('\n', start_) != std::string::npos; }

 private:
  explicit Client(Fd socket) : socket_(std::move(socket)) {}
  Result<std::string> read_line();

  Fd socket_;
  std::string buffer_;
  size_t start_ = 0;
  std::vector<Fd> fds_;
  uint64_t lost_ = 0;
  int exit_code_ = 0;
};

}  // namespace sallyport::admin
