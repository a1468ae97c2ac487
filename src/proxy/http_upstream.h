// An upstream connection with its client codec, as the pool keeps it.
#pragma once

#include <memory>

#include "proxy/http_input.h"
#include "proxy/http_seam.h"

namespace sallyport::proxy {

// Told once when the first bytes of a request have been written.
class FirstWrite {
 public:
  virtual void on_first_write(Monotonic when) = 0;

 protected:
  ~FirstWrite() = default;
};

class HttpUpstream final : public PooledConnection,
                           private StreamUser,
                           private http::ClientHost,
                           private TurnWork {
 public:
  HttpUpstream(Worker& worker, const Target& target, http::Version version, StreamPtr stream);

  // Null where it cannot (a peer without extended CONNECT).
  http::ClientStream* start(const http::RequestHead& head, bool end, http::ResponseEvents& events,
                            FirstWrite* measured);
  void forget(const FirstWrite& measured) {
    if (measured_ == &measured) measured_ = nullptr;
  }
  [[nodiscard]] SocketAddress local_address() const {
    return stream_ ? stream_->local_address() : SocketAddress{};
  }
  [[nodiscard]] Monotonic read_at() const { return stream_ ? stream_->read_at() : Monotonic{}; }

  bool usable() override;
  [[nodiscard]] size_t active() const override { return codec_->active(); }
  void drain() override;
  void cut() override;
  [[nodiscard]] const TlsFacts* tls() const override { return stream_ ? stream_->tls() : nullptr; }

 private:
  struct InputWork final : TurnWork {
    explicit InputWork(HttpUpstream& its) : owner(its) {}
    void on_turn() override { owner.read_again(); }
    HttpUpstream& owner;
  };

  void on_data(Bytes bytes) override;
  void on_end() override;
  void on_drained() override;
  void on_failure(StreamFailure failure, std::string_view why) override;
  void output_pending() override { worker_.loop().after_event(*this); }
  void input_pending() override { worker_.loop().after_event(input_work_); }
  void input_next_turn() override { worker_.loop().next_turn(input_work_); }
  void on_violation(http::Counter, uint16_t) override {}
  void on_capacity() override;
  void on_turn() override;
  void read_again();
  void settle();
  void end();
  void on_deadline();

  Worker& worker_;
  StreamPtr stream_;
  std::unique_ptr<http::ClientCodec> codec_;
  CodecInput input_;
  InputWork input_work_;
  Timer deadline_;
  Monotonic deadline_at_ = http::kNever;
  FirstWrite* measured_ = nullptr;
  uint64_t written_at_start_ = 0;  // HTTP/1: the stream's bytes_out() when the request began
  bool dead_ = false, capacity_ = false, used_ = false, reading_ = false;
};

}  // namespace sallyport::proxy
