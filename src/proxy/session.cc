#include "proxy/session.h"

#include "proxy/worker.h"

namespace sallyport::proxy {

Session::Session(Worker& worker, Pod& pod, Direction direction)
    : worker_(worker), pod_(pod), direction_(direction) {
  next_ = pod.sessions;
  if (next_) next_->link_ = &next_;
  pod.sessions = this;
  link_ = &pod.sessions;
  ++(direction == Direction::kInbound ? pod.inbound : pod.outbound);
  ++worker.session_count_;
}

Session::~Session() = default;

void Session::close() {
  if (closed_) return;
  closed_ = true;
  *link_ = next_;
  if (next_) next_->link_ = link_;
  link_ = nullptr;
  --(direction_ == Direction::kInbound ? pod_.inbound : pod_.outbound);
  --worker_.session_count_;
  worker_.loop().retire(std::unique_ptr<Retired>(this));
}

}  // namespace sallyport::proxy
