// A downstream connection that carries HTTP: its server codec and the exchanges under way.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proxy/http_input.h"
#include "proxy/http_seam.h"
#include "proxy/http_upstream.h"

namespace sallyport::proxy {

class Exchange;

class HttpSession final : public Session,
                          private StreamUser,
                          private http::ServerHost,
                          private TurnWork {
 public:
  HttpSession(Worker& worker, Pod& pod, Downstream who, HttpKind kind);
  ~HttpSession() override;
  void start(StreamPtr stream, Bytes first);

  // Session
  void on_snapshot() override;
  void on_cut() override;
  void on_drain() override;

  // For its exchanges.
  using Session::worker;
  [[nodiscard]] const Downstream& who() const { return who_; }
  [[nodiscard]] const TlsFacts* tls() const { return stream_ ? stream_->tls() : nullptr; }
  [[nodiscard]] Monotonic read_at() const { return stream_ ? stream_->read_at() : Monotonic{}; }
  [[nodiscard]] SocketAddress local_address() const {
    return stream_ ? stream_->local_address() : SocketAddress{};
  }
  [[nodiscard]] bool http2() const { return kind_ == HttpKind::kHttp2; }
  // x-forwarded-client-cert of the verified caller; empty: plaintext.
  [[nodiscard]] const std::string& client_cert() const { return client_cert_; }
  void measure(FirstWrite* measured) { measured_ = measured; }
  void forget_measure(const FirstWrite& measured) {
    if (measured_ == &measured) measured_ = nullptr;
  }
  void done(Exchange& exchange);  // it may be used for another request
  // Whether the connection may go on at all: the mode of the port against what it is.
  [[nodiscard]] bool mode_allows() const;

 private:
  struct InputWork final : TurnWork {
    explicit InputWork(HttpSession& its) : owner(its) {}
    void on_turn() override { owner.read_again(); }
    HttpSession& owner;
  };

  void on_data(Bytes bytes) override;
  void on_end() override;
  void on_drained() override;
  void on_failure(StreamFailure failure, std::string_view why) override;
  void output_pending() override { worker().loop().after_event(*this); }
  void input_pending() override { worker().loop().after_event(input_work_); }
  void input_next_turn() override { worker().loop().next_turn(input_work_); }
  void on_violation(http::Counter what, uint16_t status) override;
  http::StreamEvents* on_request(http::ServerStream& stream, http::RequestHead& head,
                                 bool end) override;
  void on_turn() override;
  void read_again();
  void settle();
  void end();
  void cut();
  void on_deadline();
  void on_idle();
  void rested();
  [[nodiscard]] std::chrono::nanoseconds idle_time() const;
  [[nodiscard]] std::chrono::nanoseconds stream_idle() const;

  Downstream who_;
  HttpKind kind_;
  bool ending_ = false;
  StreamPtr stream_;
  std::unique_ptr<http::Codec> codec_;
  CodecInput input_;
  InputWork input_work_;
  Timer deadline_, idle_;
  Monotonic deadline_at_ = http::kNever;
  Monotonic active_;  // when something happened last
  FirstWrite* measured_ = nullptr;
  std::string client_cert_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;
  std::vector<Exchange*> free_, resting_;
};

}  // namespace sallyport::proxy
