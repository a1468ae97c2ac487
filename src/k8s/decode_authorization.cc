#include <algorithm>
#include <array>

#include "base/strings.h"
#include "k8s/decode.h"
#include "k8s/formats.h"
#include "k8s/istio_values.h"

namespace sallyport::k8s {
namespace {

constexpr size_t kMostRules = 512;
constexpr std::string_view kDryRunActions = "an AuthorizationPolicy with action ALLOW or DENY";

MatchValues decode_values(const Field& parent, std::string_view name, std::string_view not_name,
                          ValueForm form) {
  MatchValues out;
  for (auto [member, into] : {std::pair(name, &out.values), std::pair(not_name, &out.not_values)}) {
    Field list = parent[member];
    check_istio_values(list, form);
    *into = list.texts();
  }
  return out;
}

AuthorizationSource decode_source(const Field& field) {
  AuthorizationSource out;
  auto read = [&](std::string_view name, std::string_view not_name, ValueForm form) {
    return decode_values(field, name, not_name, form);
  };
  out.principals = read("principals", "notPrincipals", ValueForm::kGlob);
  out.request_principals = read("requestPrincipals", "notRequestPrincipals", ValueForm::kGlob);
  out.namespaces = read("namespaces", "notNamespaces", ValueForm::kAny);
  out.service_accounts = read("serviceAccounts", "notServiceAccounts", ValueForm::kServiceAccount);
  out.trust_domains = read("trustDomains", "notTrustDomains", ValueForm::kTrustDomain);
  out.ip_blocks = read("ipBlocks", "notIpBlocks", ValueForm::kIpBlock);
  out.remote_ip_blocks = read("remoteIpBlocks", "notRemoteIpBlocks", ValueForm::kIpBlock);
  bool none = out.principals.empty() && out.request_principals.empty() && out.namespaces.empty() &&
              out.service_accounts.empty() && out.trust_domains.empty() && out.ip_blocks.empty() &&
              out.remote_ip_blocks.empty();
  if (none && field.value().is_map())
    field.error("from.source is empty, expected at least one condition in it");
  if (!out.service_accounts.empty() && !(out.principals.empty() && out.namespaces.empty()))
    field.error("cannot set serviceAccounts with namespaces or principals");
  return out;
}

AuthorizationOperation decode_operation(const Field& field) {
  AuthorizationOperation out;
  out.hosts = decode_values(field, "hosts", "notHosts", ValueForm::kGlob);
  out.ports = decode_values(field, "ports", "notPorts", ValueForm::kPort);
  out.methods = decode_values(field, "methods", "notMethods", ValueForm::kGlob);
  out.paths = decode_values(field, "paths", "notPaths", ValueForm::kPath);
  if (out.hosts.empty() && out.ports.empty() && out.methods.empty() && out.paths.empty() &&
      field.value().is_map())
    field.error("to.operation is empty, expected at least one condition in it");
  return out;
}

AuthorizationCondition decode_when(const Field& field) {
  AuthorizationCondition out;
  Field key = field["key"];
  out.key = key.text();
  ConditionKey known = find_condition_key(out.key);
  if (!known.problem.empty() && !out.key.empty()) key.error(known.problem);
  out.match = decode_values(field, "values", "notValues", known.form);
  if (out.match.empty() && field.value().is_map())
    field.error("at least one of values or notValues must be set");
  return out;
}

// CUSTOM is judged before tokens and identities are known.
void check_custom_rule(const Field& rule) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kSources{
      {{"principals", "From.Principals"},
       {"notPrincipals", "From.NotPrincipals"},
       {"requestPrincipals", "From.RequestPrincipals"},
       {"notRequestPrincipals", "From.NotRequestPrincipals"},
       {"namespaces", "From.Namespaces"},
       {"notNamespaces", "From.NotNamespaces"},
       {"serviceAccounts", "From.ServiceAccounts"},
       {"notServiceAccounts", "From.NotServiceAccounts"},
       {"trustDomains", "From.TrustDomains"},
       {"notTrustDomains", "From.NotTrustDomains"}}};
  constexpr std::string_view kText = " is currently not supported with CUSTOM action";
  for (const Field& from : rule["from"].items())
    for (const auto& [name, shown] : kSources)
      if (Field list = from["source"][name]; !list.value().items().empty())
        list.error_at_key(std::string(shown) + std::string(kText));
  for (const Field& when : rule["when"].items()) {
    Field key = when["key"];
    for (std::string_view start : {"source.namespace", "source.principal", "source.serviceAccount",
                                   "source.trustDomain", "request.auth."})
      if (key.text().starts_with(start)) key.error(key.text() + std::string(kText));
  }
}

bool is_http_only(const AuthorizationRule& rule) {
  bool any = false;
  for (const AuthorizationSource& source : rule.from) {
    if (!source.principals.empty() || !source.namespaces.empty() ||
        !source.service_accounts.empty() || !source.trust_domains.empty() ||
        !source.ip_blocks.empty() || !source.remote_ip_blocks.empty())
      return false;
    any = true;
  }
  for (const AuthorizationOperation& operation : rule.to) {
    if (!operation.ports.empty()) return false;
    any = true;
  }
  for (const AuthorizationCondition& condition : rule.when) {
    if (!find_condition_key(condition.key).http_only) return false;
    any = true;
  }
  return any;
}

AuthorizationRule decode_rule(const Field& field, AuthorizationAction action) {
  AuthorizationRule rule;
  rule.mark = field.mark();
  for (std::string_view name : {"from", "to"})
    if (Field list = field[name]; list.value().is_list() && list.value().items().empty())
      list.error("is empty, expected at least one item; leave it out to match everything");
  for (const Field& from : field["from"].items()) {
    Field source = from["source"];
    if (from.value().is_map() && !source.present())
      source.error("from.source is missing; it is required");
    rule.from.push_back(decode_source(source));
  }
  for (const Field& to : field["to"].items()) {
    Field operation = to["operation"];
    if (to.value().is_map() && !operation.present())
      operation.error("to.operation is missing; it is required");
    rule.to.push_back(decode_operation(operation));
  }
  for (const Field& when : field["when"].items()) rule.when.push_back(decode_when(when));
  if (action == AuthorizationAction::kCustom) check_custom_rule(field);
  if (action == AuthorizationAction::kDeny && is_http_only(rule))
    field.warning(
        "has only conditions on HTTP: this DENY rule will deny all traffic to TCP ports of the "
        "workloads; add a condition on ports");
  return rule;
}

AuthorizationAction decode_action(const Field& field) {
  if (field.text() == "DENY") return AuthorizationAction::kDeny;
  if (field.text() == "AUDIT") return AuthorizationAction::kAudit;
  return field.text() == "CUSTOM" ? AuthorizationAction::kCustom : AuthorizationAction::kAllow;
}

void check_provider(const Field& spec, AuthorizationAction action) {
  Field provider = spec["provider"];
  if (action != AuthorizationAction::kCustom) {
    if (provider.present()) provider.error_at_key("provider must not be with non CUSTOM action");
    return;
  }
  Field name = provider["name"];
  if (name.text().empty())
    (provider.present() ? name : provider).error("provider.name must not be empty");
  else if (auto wrong = check_dns_label(name.text()))
    name.error(quoted(name.text()) + ": " + *wrong);
}

}  // namespace

void decode(const Field& root, AuthorizationPolicy& out) {
  Field spec = root["spec"];
  out.action = decode_action(spec["action"]);
  IstioScope scope = decode_istio_scope(spec);
  out.selector = std::move(scope.labels);
  out.has_target_refs = scope.has_target_refs;
  check_provider(spec, out.action);
  out.provider = spec["provider"]["name"].text();
  bool dry = out.action == AuthorizationAction::kAllow || out.action == AuthorizationAction::kDeny;
  out.dry_run = decode_dry_run(root["metadata"], dry, kDryRunActions);

  Field rules = spec["rules"];
  size_t count = rules.value().items().size();
  bool custom = out.action == AuthorizationAction::kCustom;
  if (count == 0 && (custom || out.action == AuthorizationAction::kDeny))
    (rules.present() ? rules : spec)
        .error(std::string(custom ? "CUSTOM" : "DENY") +
               " action without rules is meaningless as it will never be triggered, add an empty "
               "rule {} if you want it be triggered on every request");
  if (count > kMostRules)
    rules.error(std::to_string(count) + " rules, expected at most " + std::to_string(kMostRules));
  for (const Field& rule : rules.items()) out.rules.push_back(decode_rule(rule, out.action));
}

}  // namespace sallyport::k8s
