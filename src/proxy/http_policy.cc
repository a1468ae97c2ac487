// What an exchange asks of policy: the canonical path, tokens, AuthorizationPolicy; and again when
// a snapshot is new.
#include <algorithm>
#include <utility>

#include "authz/path.h"
#include "mesh/client_address.h"
#include "proxy/http_exchange.h"
#include "proxy/http_report.h"

namespace sallyport::proxy {

using telemetry::ResponseFlag;

namespace {

constexpr uint32_t kCancel = 8;  // REFUSED_STREAM would invite to try again

}  // namespace

// Inbound, before anything is forwarded.
bool Exchange::admit() {
  const LocalPod& local = *session_.pod().local;
  if (head_->target != "*") {
    if (auto status = authz::canonicalize(head_->target, local.paths, canonical_, path_length_);
        !status) {
      path_length_ = std::min(head_->target.find('?'), head_->target.size());
      outcome_.allow = false;
      outcome_.reason = "no canonical path";
      answer(400, 3, "bad path", ResponseFlag::kInvalidHeader, status.error().message);
      return false;
    }
    head_->target = canonical_;
  }
  const bool tokens = local.tokens && !local.tokens->empty();
  if (tokens || local.matcher->reads_requests()) gather_fields();
  if (tokens && !check_tokens()) return false;
  if (!decide()) {
    deny();
    return false;
  }
  if (!token_.strip_headers.empty())
    for (const std::string& name : token_.strip_headers) head_->headers.remove(name);
  if (!session_.client_cert().empty())
    head_->headers.add("x-forwarded-client-cert", session_.client_cert());
  return true;
}

// Views into the head: gathered again whenever it may have changed.
void Exchange::gather_fields() {
  fields_.clear();
  fields_.push_back({":method", head_->method});
  fields_.push_back({":path", head_->target});
  fields_.push_back({":authority", head_->authority});
  fields_.push_back({"host", head_->authority});
  for (size_t i = 0; i < head_->headers.size(); ++i) {
    const http::Field field = head_->headers[i];
    fields_.push_back({field.name, field.value});
  }
}

bool Exchange::check_tokens() {
  const LocalPod& local = *session_.pod().local;
  token_ = local.tokens->verify(head_->method, fields_, session_.worker().loop().wall());
  if (token_.kind != authz::TokenResult::Kind::kRefused) return true;
  outcome_.allow = false;
  outcome_.reason = token_.reason;
  constexpr int kUnauthenticated = 16, kPermissionDenied = 7;
  answer(static_cast<uint16_t>(token_.status),
         token_.status == 403 ? kPermissionDenied : kUnauthenticated, token_.reason,
         ResponseFlag::kUnauthorizedExternal, "jwt_authn: " + token_.reason);
  return false;
}

bool Exchange::decide() {
  const Snapshot& snapshot = *session_.worker().snapshot();
  const LocalPod& local = *session_.pod().local;
  const Downstream& who = session_.who();
  authz::ConnectionFacts connection;
  connection.principal = who.principal;
  connection.source_ip = who.client.ip;
  connection.destination_ip = who.destination.ip;
  connection.destination_port = who.destination.port;
  if (const TlsFacts* tls = session_.tls()) connection.sni = tls->sni;

  authz::RequestFacts request;
  request.method = head_->method;
  request.path = std::string_view(head_->target).substr(0, path_length_);
  request.host = head_->authority;
  request.headers = fields_;
  request.remote_ip = mesh::client_address(fields_, who.client.ip, snapshot.mesh().trusted_proxies);
  request.request_principal = token_.request_principal;
  request.claims = token_.claims.get();
  claim_names_.assign(token_.space_delimited_claims.begin(), token_.space_delimited_claims.end());
  request.space_delimited_claims = claim_names_;

  const authz::Decision decision = local.matcher->decide(connection, &request);
  outcome_.allow = decision.allow;
  outcome_.audited = decision.audited;
  outcome_.rule = decision.rule;
  outcome_.generation = snapshot.generation();
  outcome_.reason = authz::to_string(decision.reason);
  outcome_.policy.assign(decision.policy.ns);
  if (!decision.policy.empty()) outcome_.policy.append("/").append(decision.policy.name);

  telemetry::MeshMetrics& mesh = session_.worker().reporting().mesh();
  constexpr auto where = telemetry::Reporter::kDestination;
  mesh.decision(where, decision.allow ? telemetry::Verdict::kAllow : telemetry::Verdict::kDeny,
                outcome_.policy, decision.rule);
  if (decision.audited)
    mesh.decision(where, telemetry::Verdict::kAudit, decision.audit_policy.text(),
                  decision.audit_rule);
  if (!decision.dry_run_policy.empty())
    mesh.decision(
        where,
        decision.dry_run_deny ? telemetry::Verdict::kDryRunDeny : telemetry::Verdict::kDryRunAllow,
        decision.dry_run_policy.text(), -1);
  return decision.allow;
}

void Exchange::on_snapshot() {
  const Snapshot& snapshot = *session_.worker().snapshot();
  // What target_ points into goes with the old snapshot.
  target_.pod = target_.address.port != 0 ? snapshot.pod(target_.address.ip) : nullptr;
  target_.service = nullptr;
  if (session_.direction() == Direction::kInbound) {
    target_.service = snapshot.port(session_.who().destination).service;
    gather_fields();
    if (decide()) return;
    if (!response_started_) {
      forget_upstream();
      if (http::ClientStream* up = std::exchange(up_, nullptr)) up->reset(kCancel);
      deny();
      return;
    }
    abort_both(kCancel, ResponseFlag::kUnauthorizedExternal,
               "rbac_access_denied: " + outcome_.policy);
    return;
  }
  const LocalPod& local = *session_.pod().local;
  const Route way = resolve(snapshot, local, session_.who().destination);
  target_.service = way.service != nullptr ? way.service->info : way.port.service;
  if (target_.address.port == 0 || target_.self) return;
  Refusal refusal{RefusalKind::kConnect, "the address has another owner now", {}, -1};
  bool allowed = target_uid_ == (target_.pod != nullptr ? target_.pod->uid : std::string_view());
  // A request that is on its way is gate 1's own to hold: it stalls there, and goes on if the
  // policy comes back. One that waits for a connection is told at once.
  if (allowed && up_ == nullptr && snapshot.config().check_network_policy) {
    for (const Ip& ip : local.info->ips) {
      if (ip.family() != target_.address.ip.family()) continue;
      const auto answer_now = snapshot.network(ip, target_.address.ip, target_.address.port);
      if (answer_now.allow) continue;
      allowed = false;
      refusal = {RefusalKind::kNetworkPolicy, std::string(answer_now.reason),
                 std::string(answer_now.policy), answer_now.rule};
    }
  }
  if (allowed) return;
  if (!response_started_) {
    forget_upstream();
    if (http::ClientStream* up = std::exchange(up_, nullptr)) up->reset(kCancel);
    refuse(refusal);
    return;
  }
  outcome_.allow = false;
  outcome_.network_denied = refusal.kind == RefusalKind::kNetworkPolicy;
  outcome_.policy = refusal.policy;
  outcome_.rule = refusal.rule;
  outcome_.reason = refusal.detail;
  abort_both(kCancel, ResponseFlag::kNoRoute, refusal.detail);
}

}  // namespace sallyport::proxy
