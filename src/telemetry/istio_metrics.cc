#include "telemetry/istio_metrics.h"

#include <algorithm>

namespace sallyport::telemetry {
namespace {

constexpr std::string_view kUnknown = "unknown";

std::string_view or_unknown(std::string_view text) {
  return text.empty() ? kUnknown : text;
}

std::string_view first_of(const std::map<std::string, std::string>& labels,
                          std::initializer_list<const char*> names, std::string_view fallback) {
  for (const char* name : names) {
    const auto it = labels.find(name);
    if (it != labels.end() && !it->second.empty()) return it->second;
  }
  return fallback;
}

std::string_view to_string(RequestProtocol protocol) {
  switch (protocol) {
    case RequestProtocol::kHttp:
      return "http";
    case RequestProtocol::kGrpc:
      return "grpc";
    case RequestProtocol::kTcp:
      return "tcp";
  }
  return kUnknown;
}

std::string_view to_string(SecurityPolicy security) {
  switch (security) {
    case SecurityPolicy::kUnknown:
      return kUnknown;
    case SecurityPolicy::kNone:
      return "none";
    case SecurityPolicy::kMutualTls:
      return "mutual_tls";
  }
  return kUnknown;
}

// Istio's labels up to request_protocol, in Istio's order.
std::string common_labels(const SeriesLabels& labels) {
  std::string out;
  const Party& from = labels.source;
  const Party& to = labels.destination;
  const auto put = [&](std::string_view name, std::string_view value) {
    append_label(out, name, or_unknown(value));
  };
  const auto revision = [](const Party& party) -> std::string_view {
    return party.canonical_revision.empty() ? "latest" : std::string_view(party.canonical_revision);
  };
  put("reporter", labels.reporter == Reporter::kSource ? "source" : "destination");
  put("source_workload", from.workload);
  put("source_canonical_service", from.canonical_service);
  put("source_canonical_revision", revision(from));
  put("source_workload_namespace", from.ns);
  put("source_principal", from.principal);
  put("source_app", from.app);
  put("source_version", from.version);
  put("source_cluster", from.cluster);
  put("destination_workload", to.workload);
  put("destination_workload_namespace", to.ns);
  put("destination_principal", to.principal);
  put("destination_app", to.app);
  put("destination_version", to.version);
  put("destination_service", labels.service);
  put("destination_canonical_service", to.canonical_service);
  put("destination_canonical_revision", revision(to));
  // Istio names the special cluster here as well.
  put("destination_service_name",
      labels.service_name.empty() ? std::string_view(labels.service) : labels.service_name);
  put("destination_service_namespace",
      labels.service_namespace.empty() ? std::string_view(to.ns) : labels.service_namespace);
  put("destination_cluster", to.cluster);
  put("request_protocol", to_string(labels.protocol));
  return out;
}

// The security policy comes after the labels of the outcome; the text before it is kept apart by a
// byte that no label holds.
constexpr char kOutcomeGoesHere = '\0';

std::string http_labels(const SeriesLabels& labels) {
  std::string out = common_labels(labels);
  out += kOutcomeGoesHere;
  append_label(out, "connection_security_policy", to_string(labels.security));
  return out;
}

std::string tcp_labels(const SeriesLabels& labels) {
  std::string out = common_labels(labels);
  append_label(out, "response_flags", "-");
  append_label(out, "connection_security_policy", to_string(labels.security));
  return out;
}

// Overflowing pairs are counted here.
SeriesLabels unknown_labels(const SeriesLabels& labels) {
  SeriesLabels out;
  out.reporter = labels.reporter;
  out.protocol = labels.protocol;
  out.security = labels.security;
  return out;
}

constexpr std::string_view kRequests = "istio_requests_total";
constexpr std::string_view kDuration = "istio_request_duration_milliseconds";
constexpr std::string_view kRequestBytes = "istio_request_bytes";
constexpr std::string_view kResponseBytes = "istio_response_bytes";
constexpr std::string_view kRequestMessages = "istio_request_messages_total";
constexpr std::string_view kResponseMessages = "istio_response_messages_total";
constexpr std::string_view kTcpOpened = "istio_tcp_connections_opened_total";
constexpr std::string_view kTcpClosed = "istio_tcp_connections_closed_total";
constexpr std::string_view kTcpSent = "istio_tcp_sent_bytes_total";
constexpr std::string_view kTcpReceived = "istio_tcp_received_bytes_total";
constexpr std::string_view kBuild = "istio_build";

}  // namespace

std::string_view to_string(ResponseFlag flag) {
  static constexpr std::string_view kNames[kResponseFlags] = {"-",  "UF", "UC",  "UR",   "UH", "UO",
                                                              "NR", "DC", "DPE", "LR",   "SI", "DT",
                                                              "UT", "IH", "OM",  "UAEX", "DR"};
  const auto index = static_cast<size_t>(flag);
  return index < kResponseFlags ? kNames[index] : kUnknown;
}

Party make_party(std::string_view ns, std::string_view workload, std::string_view principal,
                 const std::map<std::string, std::string>& labels) {
  Party out;
  out.ns = ns;
  out.workload = workload;
  out.principal = principal;
  out.app = first_of(labels, {"app", "app.kubernetes.io/name"}, {});
  out.version = first_of(labels, {"version", "app.kubernetes.io/version"}, {});
  out.canonical_service = first_of(
      labels, {"service.istio.io/canonical-name", "app.kubernetes.io/name", "app"}, workload);
  out.canonical_revision = first_of(
      labels, {"service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"},
      "latest");
  out.cluster = "Kubernetes";  // Istio's name of the only cluster
  return out;
}

struct HttpSeries::Outcome {
  uint16_t code = 0;
  int16_t grpc = -1;
  ResponseFlag flag = ResponseFlag::kNone;
  bool other = false;
  Counter requests, request_messages, response_messages;
  Histogram<kIstioBounds> duration, request_bytes, response_bytes;
};

HttpSeries::HttpSeries(std::string labels) : labels_(std::move(labels)) {}

HttpSeries::~HttpSeries() {
  for (auto& slot : outcomes_) delete slot.load(std::memory_order_relaxed);
}

HttpSeries::Outcome& HttpSeries::outcome(const RequestReport& report) {
  const size_t count = count_.load(std::memory_order_relaxed);
  for (size_t i = 0; i < count; ++i) {
    Outcome* known = outcomes_[i].load(std::memory_order_relaxed);
    if (known->code == report.code && known->grpc == report.grpc_status &&
        known->flag == report.flag && !known->other) {
      return *known;
    }
  }
  if (count > kOutcomes) return *outcomes_[kOutcomes].load(std::memory_order_relaxed);
  auto fresh = std::make_unique<Outcome>();
  fresh->code = report.code;
  fresh->grpc = report.grpc_status;
  fresh->flag = report.flag;
  fresh->other = count == kOutcomes;
  Outcome* raw = fresh.release();
  outcomes_[count].store(raw, std::memory_order_relaxed);
  count_.store(count + 1, std::memory_order_release);  // readers see it complete
  return *raw;
}

void HttpSeries::record(const RequestReport& report) {
  Outcome& to = outcome(report);
  to.requests.add();
  to.duration.observe(static_cast<double>(report.duration_ns) / 1e6);
  to.request_bytes.observe(static_cast<double>(report.request_bytes));
  to.response_bytes.observe(static_cast<double>(report.response_bytes));
  if (report.request_messages != 0) to.request_messages.add(report.request_messages);
  if (report.response_messages != 0) to.response_messages.add(report.response_messages);
}

void HttpSeries::render(Exposition& out) const {
  const size_t count = count_.load(std::memory_order_acquire);
  const size_t split = labels_.find(kOutcomeGoesHere);
  for (size_t i = 0; i < count; ++i) {
    const Outcome& from = *outcomes_[i].load(std::memory_order_relaxed);
    std::string labels = labels_.substr(0, split);
    append_label(labels, "response_code", from.other ? kUnknown : std::to_string(from.code));
    append_label(labels, "grpc_response_status",
                 from.other || from.grpc < 0 ? std::string() : std::to_string(from.grpc));
    append_label(labels, "response_flags", from.other ? kUnknown : to_string(from.flag));
    labels += ',';
    labels.append(labels_, split + 1);
    out.add(kRequests, labels, static_cast<double>(from.requests.value()));
    const auto histogram = [&](std::string_view name, const Histogram<kIstioBounds>& values) {
      out.add_histogram(name, labels, values.bounds(), values.counts(), values.sum());
    };
    histogram(kDuration, from.duration);
    histogram(kRequestBytes, from.request_bytes);
    histogram(kResponseBytes, from.response_bytes);
    if (from.grpc >= 0 || from.request_messages.value() + from.response_messages.value() > 0) {
      out.add(kRequestMessages, labels, static_cast<double>(from.request_messages.value()));
      out.add(kResponseMessages, labels, static_cast<double>(from.response_messages.value()));
    }
  }
}

void TcpSeries::render(Exposition& out) const {
  out.add(kTcpOpened, labels_, static_cast<double>(opened_.value()));
  out.add(kTcpClosed, labels_, static_cast<double>(closed_.value()));
  out.add(kTcpSent, labels_, static_cast<double>(sent_.value()));
  out.add(kTcpReceived, labels_, static_cast<double>(received_.value()));
}

// Series are found by their label text and published one by one to the rendering thread.
template <class Series>
struct IstioMetrics::Table {
  explicit Table(size_t max) : limit(max), published(new std::atomic<Series*>[max]()) {}

  Series* find_or_make(std::string labels, bool beyond_limit) {
    const auto it = by_labels.find(labels);
    if (it != by_labels.end()) return it->second.get();
    // The last places are kept for the few series of all that overflows.
    if (by_labels.size() + (beyond_limit ? 0 : kReserve) >= limit) return nullptr;
    auto fresh = std::make_unique<Series>(labels);
    Series* raw = fresh.get();
    const size_t at = by_labels.size();
    by_labels.emplace(std::move(labels), std::move(fresh));
    published[at].store(raw, std::memory_order_relaxed);
    count.store(at + 1, std::memory_order_release);
    return raw;
  }
  void render(Exposition& out) const {
    const size_t n = count.load(std::memory_order_acquire);
    for (size_t i = 0; i < n; ++i) published[i].load(std::memory_order_relaxed)->render(out);
  }

  static constexpr size_t kReserve = 18;  // reporters x protocols x security policies

  size_t limit;
  std::unordered_map<std::string, std::unique_ptr<Series>> by_labels;  // the worker's alone
  std::unique_ptr<std::atomic<Series*>[]> published;
  std::atomic<size_t> count{0};
};

IstioMetrics::IstioMetrics(size_t max_series)
    : http_(std::make_unique<Table<HttpSeries>>(max_series + Table<HttpSeries>::kReserve)),
      tcp_(std::make_unique<Table<TcpSeries>>(max_series + Table<TcpSeries>::kReserve)) {}

IstioMetrics::~IstioMetrics() = default;

HttpSeries& IstioMetrics::http(const SeriesLabels& labels) {
  if (HttpSeries* found = http_->find_or_make(http_labels(labels), false)) return *found;
  overflowed_.add();
  return *http_->find_or_make(http_labels(unknown_labels(labels)), true);
}

TcpSeries& IstioMetrics::tcp(const SeriesLabels& labels) {
  if (TcpSeries* found = tcp_->find_or_make(tcp_labels(labels), false)) return *found;
  overflowed_.add();
  return *tcp_->find_or_make(tcp_labels(unknown_labels(labels)), true);
}

void IstioMetrics::render(Exposition& out) const {
  http_->render(out);
  tcp_->render(out);
}

void IstioMetrics::declare(Exposition& out) {
  out.declare(kBuild, MetricType::kGauge, "The build of the component.", Merge::kMax);
  out.declare(kRequests, MetricType::kCounter, "Requests, by their parties and outcome.");
  out.declare(kDuration, MetricType::kHistogram, "Duration of requests in milliseconds.");
  out.declare(kRequestBytes, MetricType::kHistogram, "Size of request bodies in bytes.");
  out.declare(kResponseBytes, MetricType::kHistogram, "Size of response bodies in bytes.");
  out.declare(kRequestMessages, MetricType::kCounter, "gRPC messages from clients.");
  out.declare(kResponseMessages, MetricType::kCounter, "gRPC messages from servers.");
  out.declare(kTcpOpened, MetricType::kCounter, "TCP connections opened.");
  out.declare(kTcpClosed, MetricType::kCounter, "TCP connections closed.");
  out.declare(kTcpSent, MetricType::kCounter, "Bytes sent to clients over TCP connections.");
  out.declare(kTcpReceived, MetricType::kCounter,
              "Bytes received from clients over TCP connections.");
}

void IstioMetrics::render_build(Exposition& out, std::string_view version) {
  std::string labels;
  append_label(labels, "component", "proxy");
  append_label(labels, "tag", version);
  out.add(kBuild, labels, 1);
}

}  // namespace sallyport::telemetry
