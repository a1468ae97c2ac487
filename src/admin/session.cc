#include <memory>
#include <string>
#include <utility>

#include "admin/connection.h"
#include "admin/server.h"
#include "codec/json.h"

namespace sallyport::admin {
namespace {

std::string record_line(const codec::Value& record) {
  return "{\"record\":" + codec::write_json(record) + "}";
}

}  // namespace

Session::Session(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {
  connection_->busy = true;
  fds_ = connection_->take_fds();
}

Session::~Session() {
  fail("the node gave up this request without an answer");
}

bool Session::closed() const {
  return !connection_ || !connection_->busy || connection_->closing() || connection_->finished();
}

void Session::send(const codec::Value& record) {
  send_with_fds(record, {});
}

void Session::send_with_fds(const codec::Value& record, std::vector<Fd> fds) {
  if (!closed()) connection_->enqueue(record_line(record), std::move(fds));
}

bool Session::offer(const codec::Value& record) {
  if (closed()) return false;
  if (connection_->pending() <= connection_->limits().offer_bytes) {
    connection_->offer_lost_count();
    // While earlier losses are not reported yet, later records wait for that too: the report
    // stands where the gap is.
    if (connection_->lost == 0) {
      connection_->enqueue(record_line(record));
      return !closed();
    }
  }
  ++connection_->lost;
  return false;
}

void Session::end(std::string line) {
  if (closed()) return;
  const std::shared_ptr<Connection> connection = std::move(connection_);
  connection_ = nullptr;
  fds_.clear();
  // The callbacks may hold the last reference to this session: they go when this function returns.
  const auto on_close = std::exchange(connection->on_close, nullptr);
  const auto on_drain = std::exchange(connection->on_drain, nullptr);
  if (connection->lost > 0)
    connection->enqueue("{\"lost\":" + std::to_string(std::exchange(connection->lost, 0)) + "}");
  connection->busy = false;
  connection->enqueue(std::move(line));
}

void Session::finish(int exit_code) {
  end("{\"done\":true,\"exit\":" + std::to_string(exit_code) + "}");
}

void Session::fail(std::string_view message) {
  end("{\"error\":" + codec::quote_json(message) + "}");
}

std::vector<Fd> Session::take_fds() {
  return std::exchange(fds_, {});
}

void Session::on_close(std::function<void()> callback) {
  if (!closed()) connection_->on_close = std::move(callback);
}

void Session::on_drain(std::function<void()> callback) {
  if (closed()) return;
  connection_->on_drain = std::move(callback);
  connection_->update_interest();
}

size_t Session::pending_bytes() const {
  return closed() ? 0 : connection_->pending();
}

}  // namespace sallyport::admin
