#include "k8s/decode.h"

namespace sallyport::k8s {
namespace {

void decode_http(const Field& field, Probe& out) {
  out.kind = Probe::Kind::kHttpGet;
  out.port = decode_port(field["port"]);
  out.host = field["host"].text();
  if (!field["path"].text().empty()) out.path = field["path"].text();
  for (const Field& header : field["httpHeaders"].items())
    out.headers.emplace_back(header["name"].text(), header["value"].text());
}

// 0 means "not set" for the counts with a default, as in Go.
int count_of(const Field& field, int fallback) {
  int number = field.number();
  return number == 0 ? fallback : number;
}

}  // namespace

std::optional<Probe> decode_probe(const Field& field, bool must_succeed_once) {
  if (!field.value().is_map()) return std::nullopt;
  if (field.count({"exec", "grpc", "httpGet", "tcpSocket"}) != 1)
    field.error("expected exactly one of exec, grpc, httpGet and tcpSocket");
  Probe probe;
  probe.initial_delay_seconds = field["initialDelaySeconds"].number();
  probe.period_seconds = count_of(field["periodSeconds"], 10);
  probe.timeout_seconds = count_of(field["timeoutSeconds"], 1);
  probe.success_threshold = count_of(field["successThreshold"], 1);
  probe.failure_threshold = count_of(field["failureThreshold"], 3);
  if (must_succeed_once && probe.success_threshold != 1)
    field["successThreshold"].error("is " + std::to_string(probe.success_threshold) +
                                    ", expected 1 for liveness and startup probes");
  if (Field http = field["httpGet"]; http.present()) {
    decode_http(http, probe);
  } else if (Field tcp = field["tcpSocket"]; tcp.present()) {
    probe.kind = Probe::Kind::kTcpSocket;
    probe.port = decode_port(tcp["port"]);
    probe.host = tcp["host"].text();
  } else if (Field exec = field["exec"]; exec.present()) {
    probe.kind = Probe::Kind::kExec;
    probe.command = exec["command"].texts();
  } else {
    return std::nullopt;  // gRPC: the standalone node refuses it
  }
  return probe;
}

}  // namespace sallyport::k8s
