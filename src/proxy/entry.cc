#include "proxy/entry.h"

#include <utility>

namespace sallyport::proxy {

Entry::Entry(Worker& worker, Pod& pod, Downstream who)
    : Session(worker, pod, who.direction),
      who_(std::move(who)),
      first_(worker.buffers()),
      timer_([](void* self) { static_cast<Entry*>(self)->on_timer(); }, this) {}

bool Entry::adopt(Fd socket) {
  stream_ = Stream::adopt(worker().streams(), std::move(socket), *this);
  if (!stream_) close();
  return stream_ != nullptr;
}

void Entry::head_begun() {
  if (!std::exchange(begun_, true)) worker().loop().arm(timer_, worker().limits().head_time);
}

void Entry::http(HttpKind kind) {
  if (!may_go_on()) return;
  timer_.cancel();
  make_http_session(worker(), pod(), std::move(stream_), who_, kind, first_.bytes());
  close();
}

void Entry::relay() {
  if (!may_go_on()) return;
  timer_.cancel();
  make_tcp_relay(worker(), pod(), std::move(stream_), who_, first_.bytes());
  close();
}

void Entry::refuse(const Refusal& refusal) {
  tell_refused(worker(), pod(), who_, refusal, stream_ ? stream_->tls() : nullptr);
  cut();
}

void Entry::cut() {
  if (stream_) stream_->abort();
  stream_.reset();
  timer_.cancel();
  close();
}

}  // namespace sallyport::proxy
