// One request and its response: decided, forwarded, told.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "authz/decision.h"
#include "authz/facts.h"
#include "authz/request_authentication.h"
#include "mesh/client_address.h"
#include "proxy/http_headers.h"
#include "proxy/http_session.h"
#include "proxy/http_upstream.h"

namespace sallyport::proxy {

// What an exchange came to, for metrics, flow and log.
struct Outcome {
  uint16_t status = 0;  // 0: the client went away before an answer
  int grpc_status = -1;
  telemetry::ResponseFlag flag = telemetry::ResponseFlag::kNone;
  std::string details;  // why it was refused or broke; empty: nothing to say
  bool network_denied = false;
  // Of the mesh's decision, or the network rule that refused.
  bool allow = true, audited = false;
  std::string policy, reason;
  int rule = -1;
  uint64_t generation = 0;

  void clear();
};

class Exchange final : public http::StreamEvents, private PoolUser, private FirstWrite {
 public:
  explicit Exchange(HttpSession& session);
  ~Exchange() override;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // Takes a request. Null: it has ended already.
  http::StreamEvents* begin(http::ServerStream& stream, http::RequestHead& head, bool end);
  // Decides again, by the snapshot that holds now.
  void on_snapshot();
  [[nodiscard]] bool live() const { return live_; }
  // Ends where no byte went in either direction since `before`.
  void check_idle(Monotonic before);

 private:
  friend struct ReportWriter;
  friend void report(Exchange& exchange);

  struct Upward final : http::ResponseEvents {
    explicit Upward(Exchange& its) : owner(its) {}
    void on_informational(http::ResponseHead& head) override { owner.informational(head); }
    void on_response(http::ResponseHead& head, bool end) override { owner.response(head, end); }
    void on_data(Bytes bytes, bool end) override { owner.response_data(bytes, end); }
    void on_trailers(http::HeaderList& trailers) override { owner.response_trailers(trailers); }
    void on_reset(http::Reset reset) override { owner.upstream_reset(reset); }
    void on_writable() override { owner.upstream_writable(); }
    Exchange& owner;
  };

  // The request, from downstream.
  void on_data(Bytes bytes, bool end) override;
  void on_trailers(http::HeaderList& trailers) override;
  void on_reset(http::Reset reset) override;
  void on_writable() override;

  // The response, from upstream.
  void informational(http::ResponseHead& head);
  void response(http::ResponseHead& head, bool end);
  void response_data(Bytes bytes, bool end);
  void response_trailers(http::HeaderList& trailers);
  void upstream_reset(http::Reset reset);
  void upstream_writable();

  // PoolUser
  void on_connection(PooledConnection& connection) override;
  void on_refused(const Refusal& refusal) override;
  void on_first_write(Monotonic when) override;

  bool admit();   // inbound: false where it was answered
  bool decide();  // by the matcher; fills outcome_; false: refused
  bool check_tokens();
  void gather_fields();
  void route(bool fresh);
  bool retry(const http::Reset& reset);
  void pass_request_end();
  void response_done();
  void answer(uint16_t status, int grpc_status, std::string_view body, telemetry::ResponseFlag flag,
              std::string_view details);
  void deny();
  void refuse(const Refusal& refusal);
  void abort_both(uint32_t down_code, telemetry::ResponseFlag flag, std::string_view details);
  void finish();
  void forget_upstream();
  // Header values that the access log's format names; nothing where it names none.
  void keep_fields(const http::HeaderList& headers);
  void keep_trailers(const http::HeaderList& trailers);

  HttpSession& session_;
  Upward upward_;
  http::ServerStream* down_ = nullptr;
  http::RequestHead* head_ = nullptr;
  http::ClientStream* up_ = nullptr;
  HttpUpstream* upstream_ = nullptr;  // while up_ lives

  bool live_ = false, request_ended_ = false, response_started_ = false, response_ended_ = false;
  bool request_passed_ = false;  // its end was given to up_
  bool body_passed_ = false;     // some of its body was
  bool has_trailers_ = false, retried_ = false, counted_ = false, grpc_ = false, tunnel_ = false;
  bool down_paused_ = false, up_paused_ = false, measured_request_ = false;

  Target target_;
  std::string target_uid_;
  ByteBuffer early_;  // body bytes that came before there was an upstream
  http::HeaderList early_trailers_;

  std::string canonical_;   // reused
  size_t path_length_ = 0;  // of the head's target
  std::vector<authz::HeaderField> fields_;
  std::vector<std::string_view> claim_names_;
  authz::TokenResult token_;

  Outcome outcome_;
  Monotonic started_, touched_, last_read_, request_end_, response_start_;
  WallTime wall_;
  uint64_t request_bytes_ = 0, response_bytes_ = 0;
  uint64_t added_ns_ = 0;
  GrpcMessages request_messages_, response_messages_;
  SocketAddress upstream_local_;
  std::vector<std::string> response_fields_, trailer_fields_;  // those that the log format names
};

}  // namespace sallyport::proxy
