#include "proxy/reporting.h"

#include "base/log.h"
#include "base/strings.h"

namespace sallyport::proxy {
namespace {

constexpr size_t kRememberedMost = 8192;

// A caller that no pod of the snapshot explains: its certificate still names namespace and account.
telemetry::Party party_of(std::string_view principal) {
  telemetry::Party party;
  if (principal.empty()) return party;
  party.principal = "spiffe://" + std::string(principal);
  if (size_t at = principal.find("/ns/"); at != std::string_view::npos) {
    std::string_view ns = principal.substr(at + 4);
    party.ns = ns.substr(0, ns.find('/'));
  }
  return party;
}

bool explains(const PodInfo* pod, std::string_view principal) {
  if (!pod) return false;
  if (principal.empty()) return true;
  constexpr size_t kScheme = 9;  // spiffe://
  return pod->spiffe.size() == principal.size() + kScheme && pod->spiffe.ends_with(principal);
}

}  // namespace

Reporting::Key Reporting::key(const SeriesOf& of) {
  Key key;
  if (explains(of.source, of.source_principal))
    key.source = of.source->party_hash;
  else if (!of.source_principal.empty())
    key.principal = fnv1a(of.source_principal);
  if (of.destination) key.destination = of.destination->party_hash;
  if (of.service) key.service = of.service->hash;
  key.kinds = static_cast<uint32_t>(of.reporter) | static_cast<uint32_t>(of.protocol) << 4 |
              static_cast<uint32_t>(of.security) << 8 | static_cast<uint32_t>(of.refused) << 12 |
              static_cast<uint32_t>(of.destination != nullptr) << 13;
  return key;
}

telemetry::SeriesLabels Reporting::labels(const SeriesOf& of) {
  telemetry::SeriesLabels out;
  out.reporter = of.reporter;
  out.protocol = of.protocol;
  out.security = of.reporter == telemetry::Reporter::kSource ? telemetry::SecurityPolicy::kUnknown
                                                             : of.security;
  out.source =
      explains(of.source, of.source_principal) ? of.source->party : party_of(of.source_principal);
  if (of.destination) out.destination = of.destination->party;
  if (of.service) {
    out.service = of.service->host;
    out.service_name = of.service->name;
    out.service_namespace = of.service->ns;
  } else {
    out.service = of.refused                                    ? telemetry::kBlackHole
                  : of.reporter == telemetry::Reporter::kSource ? telemetry::kPassthrough
                                                                : telemetry::kInboundPassthrough;
    out.service_name = out.service;
  }
  return out;
}

telemetry::HttpSeries& Reporting::http(const SeriesOf& of) {
  const Key at = key(of);
  if (auto found = http_.find(at); found != http_.end()) return *found->second;
  telemetry::HttpSeries& series = istio_.http(labels(of));
  if (http_.size() >= kRememberedMost) http_.clear();
  http_.emplace(at, &series);
  return series;
}

telemetry::TcpSeries& Reporting::tcp(const SeriesOf& of) {
  const Key at = key(of);
  if (auto found = tcp_.find(at); found != tcp_.end()) return *found->second;
  telemetry::TcpSeries& series = istio_.tcp(labels(of));
  if (tcp_.size() >= kRememberedMost) tcp_.clear();
  tcp_.emplace(at, &series);
  return series;
}

void Reporting::set_format(const k8s::MeshSettings& settings) {
  auto format = settings.access_log_json
                    ? telemetry::AccessLogFormat::json(settings.access_log_format)
                    : telemetry::AccessLogFormat::text(settings.access_log_format);
  if (!format) {
    // The node checks it before: a format that got here and cannot be read logs by the default.
    log_warn("proxy", "accessLogFormat: " + format.error().message);
    format = settings.access_log_json ? telemetry::AccessLogFormat::json()
                                      : telemetry::AccessLogFormat::text();
    if (!format) return;
  }
  format_ = std::move(*format);
}

void put_addresses(telemetry::FlowRecord& record, const SocketAddress& source,
                   const SocketAddress& destination) {
  std::copy(source.ip.bytes.begin(), source.ip.bytes.end(), record.source_ip);
  std::copy(destination.ip.bytes.begin(), destination.ip.bytes.end(), record.destination_ip);
  record.source_port = source.port;
  record.destination_port = destination.port;
}

void put_tls(telemetry::FlowRecord& record, const TlsFacts* tls) {
  if (!tls) return;
  record.tls_version = tls->version;
  record.cipher = tls->cipher;
  record.group = tls->group;
  put(record.peer, tls->peer_spiffe);
}

uint64_t wall_ns(WallTime time) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count());
}

}  // namespace sallyport::proxy
