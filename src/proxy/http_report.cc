#include "proxy/http_report.h"

#include <string>
#include <vector>

namespace sallyport::proxy {
namespace {

telemetry::LogAddress log_address(const SocketAddress& address) {
  return {address.ip, address.port, address.port != 0};
}

std::string_view protocol_name(http::Version version) {
  switch (version) {
    case http::Version::kHttp10:
      return "HTTP/1.0";
    case http::Version::kHttp11:
      return "HTTP/1.1";
    case http::Version::kHttp2:
      return "HTTP/2";
  }
  return "";
}

int64_t since(Monotonic from, Monotonic to) {
  if (to == Monotonic{}) return -1;
  return std::chrono::nanoseconds(to - from).count();
}

// A value of its own for each name; a null pointer where the header is missing.
void views_of(const http::HeaderList& headers, const std::vector<std::string>& names,
              std::vector<std::string_view>& out) {
  out.clear();
  for (const std::string& name : names) {
    bool found = false;
    const std::string_view value = headers.get(name, &found);
    out.push_back(found ? value : std::string_view());
  }
}

telemetry::FlowRecord flow_of(HttpSession& session) {
  telemetry::FlowRecord record;
  record.time_ns = wall_ns(session.worker().loop().wall());
  record.inbound = session.direction() == Direction::kInbound ? 1 : 0;
  record.protocol = session.http2() ? 2 : 1;
  put_addresses(record, session.who().client, session.who().destination);
  put_tls(record, session.tls());
  return record;
}

}  // namespace

void Exchange::keep_fields(const http::HeaderList& headers) {
  const telemetry::AccessLogFormat* format = session_.worker().reporting().log_format();
  if (format == nullptr) return;
  const auto& names = format->response_headers();
  response_fields_.resize(names.size());
  for (size_t i = 0; i < names.size(); ++i) response_fields_[i] = headers.get(names[i]);
}

void Exchange::keep_trailers(const http::HeaderList& trailers) {
  const telemetry::AccessLogFormat* format = session_.worker().reporting().log_format();
  if (format == nullptr) return;
  const auto& names = format->response_trailers();
  trailer_fields_.resize(names.size());
  for (size_t i = 0; i < names.size(); ++i) trailer_fields_[i] = trailers.get(names[i]);
}

struct ReportWriter {
  static void metrics(Exchange& e, Monotonic now);
  static void flow(Exchange& e, Monotonic now);
  static void log(Exchange& e, Monotonic now);
  static const TlsFacts* upstream_tls(const Exchange& e) {
    return e.upstream_ != nullptr ? e.upstream_->tls() : nullptr;
  }
};

void report(Exchange& exchange) {
  const Monotonic now = exchange.session_.worker().loop().now();
  ReportWriter::metrics(exchange, now);
  if (exchange.session_.worker().reporting().flows()) ReportWriter::flow(exchange, now);
  if (exchange.session_.worker().reporting().log_format() != nullptr)
    ReportWriter::log(exchange, now);
}

void ReportWriter::metrics(Exchange& e, Monotonic now) {
  HttpSession& session = e.session_;
  Reporting& reporting = session.worker().reporting();
  const Snapshot& snapshot = *session.worker().snapshot();
  const bool inbound = session.direction() == Direction::kInbound;
  const PodInfo* self = session.pod().local != nullptr ? session.pod().local->info : nullptr;
  SeriesOf of;
  of.reporter = inbound ? telemetry::Reporter::kDestination : telemetry::Reporter::kSource;
  of.source = inbound ? snapshot.pod(session.who().client.ip) : self;
  of.destination = inbound ? self : e.target_.pod;
  of.service = inbound ? snapshot.port(session.who().destination).service : e.target_.service;
  of.source_principal = session.who().principal;
  of.protocol = e.grpc_ ? telemetry::RequestProtocol::kGrpc : telemetry::RequestProtocol::kHttp;
  of.security = session.who().principal.empty() ? telemetry::SecurityPolicy::kNone
                                                : telemetry::SecurityPolicy::kMutualTls;
  const auto flag = e.outcome_.flag;
  of.refused = flag == telemetry::ResponseFlag::kNoRoute && e.target_.pod == nullptr;
  telemetry::RequestReport report;
  report.code = e.outcome_.status;
  report.grpc_status = e.grpc_ ? static_cast<int16_t>(e.outcome_.grpc_status) : int16_t{-1};
  report.flag = flag;
  report.duration_ns = static_cast<uint64_t>(since(e.started_, now));
  report.request_bytes = e.request_bytes_;
  report.response_bytes = e.response_bytes_;
  report.request_messages = e.request_messages_.count();
  report.response_messages = e.response_messages_.count();
  reporting.http(of).record(report);
  if (e.outcome_.network_denied)
    reporting.mesh().decision(of.reporter, telemetry::Verdict::kDeny, e.outcome_.policy,
                              e.outcome_.rule, true);
}

void ReportWriter::flow(Exchange& e, Monotonic now) {
  HttpSession& session = e.session_;
  const Outcome& outcome = e.outcome_;
  telemetry::FlowRecord record = flow_of(session);
  record.kind = outcome.allow ? telemetry::FlowKind::kRequest : telemetry::FlowKind::kRefused;
  record.duration_ns = static_cast<uint64_t>(since(e.started_, now));
  record.bytes_received = e.request_bytes_;
  record.bytes_sent = e.response_bytes_;
  record.generation = outcome.generation;
  record.status = outcome.status;
  record.allow = outcome.allow ? 1 : 0;
  record.audited = outcome.audited ? 1 : 0;
  record.network_denied = outcome.network_denied ? 1 : 0;
  record.rule = static_cast<int16_t>(outcome.rule);
  if (e.grpc_) record.protocol = 3;
  if (session.direction() == Direction::kOutbound) {
    if (e.target_.address.port != 0) put_addresses(record, session.who().client, e.target_.address);
    put_tls(record, upstream_tls(e));
  }
  put(record.policy, outcome.policy);
  put(record.reason, !outcome.allow             ? std::string_view(outcome.reason)
                     : !outcome.details.empty() ? std::string_view(outcome.details)
                     : e.target_.self           ? std::string_view("self")
                                                : std::string_view(outcome.reason));
  if (e.head_ != nullptr) {
    put(record.method, e.head_->method);
    put(record.path, std::string_view(e.head_->target).substr(0, e.path_length_));
    put(record.host, e.head_->authority);
  }
  session.worker().reporting().flow(record);
}

void ReportWriter::log(Exchange& e, Monotonic now) {
  HttpSession& session = e.session_;
  Reporting& reporting = session.worker().reporting();
  const telemetry::AccessLogFormat& format = *reporting.log_format();
  const bool inbound = session.direction() == Direction::kInbound;
  const Outcome& outcome = e.outcome_;
  telemetry::LogEntry entry;
  entry.start = e.wall_;
  entry.duration_ns = since(e.started_, now);
  entry.request_duration_ns = since(e.started_, e.request_end_);
  entry.response_duration_ns = since(e.started_, e.response_start_);
  if (e.upstream_ != nullptr && e.response_start_ != Monotonic{})
    entry.upstream_service_ms = entry.response_duration_ns / 1000000;
  if (e.head_ != nullptr) {
    entry.method = e.head_->method;
    entry.path = e.head_->target;
    entry.authority = e.head_->authority;
    entry.protocol = protocol_name(e.head_->version);
  }
  entry.response_code = outcome.status;
  entry.flags = telemetry::to_string(outcome.flag);
  entry.details = outcome.details.empty() ? std::string_view("via_upstream") : outcome.details;
  entry.bytes_received = e.request_bytes_;
  entry.bytes_sent = e.response_bytes_;
  entry.grpc_status = outcome.grpc_status;
  entry.upstream = log_address(e.target_.address);
  entry.upstream_local = log_address(e.upstream_local_);
  entry.downstream_local = log_address(session.who().destination);
  entry.downstream_remote = entry.downstream_direct = log_address(session.who().client);
  std::string cluster;
  if (inbound) {
    cluster = "inbound|" + std::to_string(session.who().destination.port) + "||";
    entry.route = "default";
  } else if (e.target_.service != nullptr) {
    cluster =
        "outbound|" + std::to_string(e.target_.service->port) + "||" + e.target_.service->host;
    entry.route = "default";
  } else {
    cluster = telemetry::kPassthrough;
    entry.route = "allow_any";
  }
  entry.upstream_cluster = cluster;
  const auto fill = [](const TlsFacts* tls, std::string_view& version, std::string_view& cipher,
                       std::string_view& peer) {
    if (tls == nullptr) return;
    version = tls->version == 0x0304 ? "TLSv1.3" : "";
    switch (tls->cipher) {
      case 0x1301:
        cipher = "TLS_AES_128_GCM_SHA256";
        break;
      case 0x1302:
        cipher = "TLS_AES_256_GCM_SHA384";
        break;
      case 0x1303:
        cipher = "TLS_CHACHA20_POLY1305_SHA256";
        break;
      default:
        break;
    }
    peer = tls->peer_spiffe;
  };
  fill(session.tls(), entry.downstream_tls_version, entry.downstream_tls_cipher,
       entry.downstream_peer);
  fill(upstream_tls(e), entry.upstream_tls_version, entry.upstream_tls_cipher, entry.upstream_peer);
  if (const TlsFacts* tls = session.tls()) {
    entry.server_name = tls->sni;
    if (tls->peer) entry.downstream_peer_serial = tls->peer->serial;
  }
  std::vector<std::string_view> request, response, trailers;
  if (e.head_ != nullptr) views_of(e.head_->headers, format.request_headers(), request);
  const auto kept = [](const std::vector<std::string>& values, std::vector<std::string_view>& out) {
    for (const std::string& value : values)
      out.push_back(value.empty() ? std::string_view() : std::string_view(value));
  };
  kept(e.response_fields_, response);
  kept(e.trailer_fields_, trailers);
  entry.request_headers = request;
  entry.response_headers = response;
  entry.response_trailers = trailers;
  reporting.log(entry);
  e.response_fields_.clear();
  e.trailer_fields_.clear();
}

void tell_violation(HttpSession& session, http::Counter what, uint16_t status) {
  Reporting& reporting = session.worker().reporting();
  if (reporting.flows()) {
    telemetry::FlowRecord record = flow_of(session);
    record.kind = telemetry::FlowKind::kRefused;
    record.status = status;
    put(record.reason, to_string(what));
    reporting.flow(record);
  }
  if (reporting.log_format() == nullptr || status == 0) return;
  telemetry::LogEntry entry;
  entry.start = session.worker().loop().wall();
  entry.response_code = status;
  entry.flags = telemetry::to_string(telemetry::ResponseFlag::kDownstreamProtocol);
  entry.details = to_string(what);
  entry.downstream_local = log_address(session.who().destination);
  entry.downstream_remote = entry.downstream_direct = log_address(session.who().client);
  reporting.log(entry);
}

void tell_cut(HttpSession& session, std::string_view why, std::string_view policy) {
  Reporting& reporting = session.worker().reporting();
  if (!reporting.flows()) return;
  telemetry::FlowRecord record = flow_of(session);
  record.kind = telemetry::FlowKind::kRefused;
  put(record.reason, why);
  put(record.policy, policy);
  reporting.flow(record);
}

}  // namespace sallyport::proxy
