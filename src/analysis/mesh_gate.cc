#include "analysis/mesh_gate.h"

#include <algorithm>

#include "analysis/http_request.h"
#include "authz/evaluator.h"
#include "authz/peer_modes.h"
#include "mesh/client_address.h"
#include "world/service_endpoints.h"

namespace sallyport::analysis {
namespace {

using codec::Value;
using Outcome = MeshVerdict::Outcome;
using Step = MeshVerdict::Step;

constexpr std::string_view kScheme = "spiffe://";

Ip address_of(const world::Endpoint* pod, const Ip& given, Family family) {
  if (given != Ip{} || pod == nullptr) return given;
  for (const Ip& own : pod->ips)
    if (own.family() == family) return own;
  return {};
}

const world::Endpoint* pod_of(const world::World& world, const world::Endpoint* given,
                              const Ip& ip) {
  if (given == nullptr && ip != Ip{}) given = world.find_ip(ip);
  return given != nullptr && given->selectable() ? given : nullptr;
}

bool is_meshed(const world::World& world, const world::Endpoint* pod,
               mesh::UnlabelledPods unlabelled) {
  return pod != nullptr && mesh::membership(world, *pod, unlabelled).meshed;
}

std::vector<const k8s::RequestAuthentication*> token_policies(const world::World& world,
                                                              const world::Endpoint& workload) {
  std::vector<const k8s::RequestAuthentication*> out;
  for (const auto& policy : world.request_authentications)
    if (!policy->has_target_refs &&
        (policy->meta.ns == workload.ns || policy->meta.ns == world.mesh.root_namespace) &&
        world::selects(policy->selector, workload.labels))
      out.push_back(policy.get());
  return out;
}

bool has_audience(const Value& claims, const std::vector<std::string>& wanted) {
  if (wanted.empty()) return true;
  const Value& aud = claims["aud"];
  auto is_wanted = [&](const Value& one) {
    return one.is_string() &&
           std::find(wanted.begin(), wanted.end(), one.as_string()) != wanted.end();
  };
  if (!aud.is_list()) return is_wanted(aud);
  return std::any_of(aud.items().begin(), aud.items().end(), is_wanted);
}

class Judge {
 public:
  Judge(const world::World& world, const policy::Query& network, const MeshQuery& query,
        mesh::UnlabelledPods unlabelled)
      : world_(world), network_(network), query_(query), unlabelled_(unlabelled) {}

  std::optional<MeshVerdict> run() {
    if (network_.protocol != k8s::Protocol::kTcp) return std::nullopt;
    to_ip_ = address_of(network_.to_pod, network_.to, network_.family);
    from_ip_ = address_of(network_.from_pod, network_.from, network_.family);
    to_ = pod_of(world_, network_.to_pod, to_ip_);
    from_ = pod_of(world_, network_.from_pod, from_ip_);
    if (!is_meshed(world_, to_, unlabelled_)) return std::nullopt;
    member_ = mesh::membership(world_, *to_, unlabelled_);
    judge();
    return out_;
  }

 private:
  void judge() {
    if (to_ == from_) return not_taken("a pod's connection to itself is not intercepted");
    if (member_.exclude_inbound_ports.contains(network_.port))
      return not_taken("the port is excluded from the mesh by an annotation of the pod");
    const authz::PortMode mode = authz::peer_modes(world_, *to_).at(network_.port);
    identify(mode);
    if (mode.mode == k8s::MutualTlsMode::kStrict && !out_.mtls) {
      finish(Outcome::kDeny, Step::kStrict, "mutual TLS is required");
      out_.policy = mode.policy;
      out_.action = "STRICT";
      return;
    }
    choose_protocol();
    if (!out_.http) return answer(connection(), nullptr);
    const authz::PathOptions options{world_.mesh.path_normalization, member_.allow_escaped_slashes};
    auto request = canonical_request(*out_.http, options);
    if (!request) return finish(Outcome::kReject, Step::kCanonical, request.error().message);
    decide(*request, out_.http->jwt ? &*out_.http->jwt : nullptr);
  }

  void not_taken(const char* why) { finish(Outcome::kAllow, Step::kNotTaken, why); }

  void finish(Outcome outcome, Step step, std::string reason) {
    out_.outcome = outcome;
    out_.step = step;
    out_.reason = std::move(reason);
  }

  // Both proxies would use mutual TLS.
  bool default_mtls(const authz::PortMode& mode) const {
    if (mode.mode == k8s::MutualTlsMode::kDisable || from_ == nullptr) return false;
    const mesh::Membership from = mesh::membership(world_, *from_, unlabelled_);
    bool excluded =
        from.exclude_outbound_ports.contains(network_.port) ||
        std::any_of(from.exclude_outbound_ranges.begin(), from.exclude_outbound_ranges.end(),
                    [&](const Cidr& range) { return range.contains(to_ip_); });
    return from.meshed && !excluded;
  }

  void identify(const authz::PortMode& mode) {
    // An identity is given: who has none has no mutual TLS either.
    bool given = query_.principal && !query_.principal->empty();
    out_.mtls = query_.mtls.value_or(given || default_mtls(mode));
    if (!out_.mtls) return;
    if (mode.mode == k8s::MutualTlsMode::kDisable) {
      out_.mtls = false;
      out_.note = "the mode is DISABLE: the caller's TLS is passed on, its identity not read";
    } else if (query_.principal) {
      out_.principal = *query_.principal;
      if (!out_.principal.empty() && !out_.principal.starts_with(kScheme))
        out_.principal.insert(0, kScheme);
    } else if (from_ != nullptr) {
      out_.principal = std::string(kScheme) + world_.mesh.trust_domain + "/ns/" + from_->ns +
                       "/sa/" +
                       (from_->service_account.empty() ? "default" : from_->service_account);
    }
  }

  // A port that is declared to carry something else is never parsed as HTTP.
  void choose_protocol() {
    const mesh::AppProtocol declared = mesh::inbound_protocol(world_, *to_, network_.port);
    const bool opaque = declared == mesh::AppProtocol::kTcp || declared == mesh::AppProtocol::kTls;
    if (query_.http && opaque)
      out_.note = "the port is declared as " + std::string(mesh::to_string(declared)) +
                  ": judged as opaque TCP";
    else
      out_.http = query_.http;
  }

  // Claims are given as those of a token that was verified; the rules still say which issuers and
  // audiences they take.
  bool take_token(const Value& claims, std::vector<std::string>& space_delimited) {
    std::string issuer = claims["iss"].as_string();
    bool any_rule = false;
    bool issuer_known = false;
    std::string policy;
    for (const k8s::RequestAuthentication* object : token_policies(world_, *to_)) {
      for (const k8s::JwtRule& rule : object->rules) {
        any_rule = true;
        if (policy.empty()) policy = object->meta.ns + "/" + object->meta.name;
        if (!rule.issuer.empty() && rule.issuer != issuer) continue;
        if (!issuer_known) policy = object->meta.ns + "/" + object->meta.name;
        issuer_known = true;
        if (!has_audience(claims, rule.audiences)) continue;
        space_delimited = rule.space_delimited_claims;
        return true;
      }
    }
    if (!any_rule) return true;
    finish(Outcome::kDeny, Step::kToken,
           issuer_known ? "no rule takes the audiences of the token (403)"
                        : "no rule takes the issuer of the token (401)");
    out_.policy = policy;
    return false;
  }

  [[nodiscard]] authz::ConnectionFacts connection() const {
    std::string_view principal = out_.principal;
    if (!principal.empty()) principal.remove_prefix(kScheme.size());
    std::string_view sni = query_.sni ? std::string_view(*query_.sni) : std::string_view();
    return {principal, from_ip_, to_ip_, network_.port, sni};
  }

  // `token`: its claims; null: none.
  void decide(const CanonicalRequest& request, const Value* token) {
    std::vector<authz::HeaderField> headers;
    headers.reserve(request.headers.size());
    for (const auto& [name, value] : request.headers) headers.push_back({name, value});
    authz::RequestFacts facts;
    facts.method = request.method;
    facts.target = request.target;
    facts.path = facts.target.substr(0, request.path_length);
    facts.host = request.host;
    facts.headers = headers;
    facts.remote_ip = mesh::client_address(headers, from_ip_, world_.mesh.trusted_proxies);
    std::string request_principal;
    std::vector<std::string> space_delimited;
    std::vector<std::string_view> space_views;
    if (token != nullptr) {
      const Value& claims = *token;
      if (!take_token(claims, space_delimited)) return;
      space_views.assign(space_delimited.begin(), space_delimited.end());
      if (claims["iss"].is_string() && claims["sub"].is_string())
        request_principal = claims["iss"].as_string() + "/" + claims["sub"].as_string();
      facts.claims = &claims;
      facts.request_principal = request_principal;
      facts.space_delimited_claims = space_views;
    }
    answer(connection(), &facts);
  }

  void answer(const authz::ConnectionFacts& connection, const authz::RequestFacts* request) {
    const authz::Decision decision = authz::evaluate(world_, *to_, connection, request);
    finish(decision.allow ? Outcome::kAllow : Outcome::kDeny,
           decision.reason == authz::Reason::kNoPolicy ? Step::kAllPassed : Step::kAuthorization,
           std::string(authz::to_string(decision.reason)));
    out_.policy = decision.policy.text();
    if (decision.rule >= 0) out_.rule = decision.rule;
    if (decision.audited) {
      out_.audit_policy = decision.audit_policy.text();
      out_.audit_rule = decision.audit_rule;
    }
    out_.dry_run_policy = decision.dry_run_policy.text();
    out_.dry_run_deny = decision.dry_run_deny;
    switch (decision.reason) {
      case authz::Reason::kNoPolicy:
        break;
      case authz::Reason::kRuleAllows:
        out_.action = "ALLOW";
        break;
      case authz::Reason::kRuleDenies:
        out_.action = "DENY";
        break;
      case authz::Reason::kNoAllowMatches:
        out_.action = "ALLOW";
        say_what_missed(connection, request);
        break;
      case authz::Reason::kUnenforceable:
        say_why_unenforceable();
        break;
    }
  }

  void say_what_missed(const authz::ConnectionFacts& connection,
                       const authz::RequestFacts* request) {
    for (const k8s::AuthorizationPolicy* policy : authz::policies_of(world_, *to_))
      if (policy->action == k8s::AuthorizationAction::kAllow && !policy->dry_run)
        out_.allow_policies.push_back(policy->meta.ns + "/" + policy->meta.name);
    authz::NearestRule near = authz::nearest(world_, *to_, connection, request);
    if (!near.policy.empty())
      out_.nearest = MeshVerdict::Near{std::move(near.policy), near.rule, std::move(near.why)};
  }

  void say_why_unenforceable() {
    for (const k8s::AuthorizationPolicy* policy : authz::policies_of(world_, *to_)) {
      if (policy->meta.ns + "/" + policy->meta.name != out_.policy) continue;
      out_.action = policy->action == k8s::AuthorizationAction::kCustom ? "CUSTOM" : "";
      if (auto why = authz::unenforceable(*policy)) out_.reason += ": " + why->why;
    }
  }

  const world::World& world_;
  const policy::Query& network_;
  const MeshQuery& query_;
  mesh::UnlabelledPods unlabelled_;
  Ip from_ip_, to_ip_;
  const world::Endpoint* from_ = nullptr;
  const world::Endpoint* to_ = nullptr;
  mesh::Membership member_;
  MeshVerdict out_;
};

}  // namespace

std::optional<MeshVerdict> judge_mesh(const world::World& world, const policy::Query& network,
                                      const MeshQuery& query, mesh::UnlabelledPods unlabelled) {
  return Judge(world, network, query, unlabelled).run();
}

}  // namespace sallyport::analysis
