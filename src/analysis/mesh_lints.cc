#include "analysis/mesh_lints.h"

#include <algorithm>
#include <map>
#include <set>

#include "analysis/conditions.h"
#include "authz/peer_modes.h"
#include "base/strings.h"
#include "codec/json.h"
#include "mesh/membership.h"
#include "world/service_endpoints.h"

namespace sallyport::analysis {
namespace {

using k8s::AuthorizationAction;
using k8s::AuthorizationPolicy;
using k8s::Diagnostic;

// A pod, or the pods of a template.
struct Workload {
  world::Endpoint pod;
  const k8s::Object* object = nullptr;
  // Found once, because many policies ask.
  bool accepts_plaintext = false;                                    // at any port
  std::vector<std::pair<uint16_t, mesh::AppProtocol>> opaque_ports;  // declared as such
};

Workload workload_of(const k8s::Object& object, const k8s::Labels& labels,
                     const std::map<std::string, std::string>& annotations,
                     const k8s::PodSpec& spec) {
  Workload out;
  out.object = &object;
  out.pod.ns = object.meta.ns;
  out.pod.name = object.meta.name;
  out.pod.labels = labels;
  out.pod.annotations = annotations;
  for (const k8s::Container& container : spec.containers)
    out.pod.ports.insert(out.pod.ports.end(), container.ports.begin(), container.ports.end());
  out.pod.host_network = spec.host_network;
  return out;
}

std::vector<Workload> workloads_of(const std::vector<k8s::AnyObject>& objects) {
  std::vector<Workload> out;
  auto from_template = [&](const auto& object) {
    out.push_back(workload_of(object, object.pod.labels, object.pod.annotations, object.pod.spec));
  };
  for (const k8s::AnyObject& any : objects) {
    if (const auto* pod = std::get_if<k8s::Pod>(&any))
      out.push_back(workload_of(*pod, pod->meta.labels, pod->meta.annotations, pod->spec));
    else if (const auto* deployment = std::get_if<k8s::Deployment>(&any))
      from_template(*deployment);
    else if (const auto* set = std::get_if<k8s::StatefulSet>(&any))
      from_template(*set);
    else if (const auto* job = std::get_if<k8s::Job>(&any))
      from_template(*job);
  }
  return out;
}

std::string name_of(const Workload& workload) {
  return workload.object->kind + " " + workload.pod.ns + "/" + workload.pod.name;
}

class Linter {
 public:
  explicit Linter(const std::vector<k8s::AnyObject>& objects)
      : world_(world::from_objects(objects)), workloads_(workloads_of(objects)) {
    for (const k8s::AnyObject& any : objects)
      if (const auto* ns = std::get_if<k8s::Namespace>(&any)) namespaces_.insert(ns->meta.name);
    for (Workload& workload : workloads_) {
      workload.accepts_plaintext = accepts_plaintext(workload.pod);
      for (uint16_t port : tcp_ports(workload)) {
        const auto protocol = mesh::inbound_protocol(world_, workload.pod, port);
        if (protocol == mesh::AppProtocol::kTcp || protocol == mesh::AppProtocol::kTls)
          workload.opaque_ports.emplace_back(port, protocol);
      }
    }
    for (const auto& policy : world_.authorization_policies)
      for (size_t i = 0; i < policy->rules.size(); ++i)
        for (const Condition& condition : conditions_of(*policy, i))
          if (condition.subject == Subject::kToken) token_askers_.insert(policy->meta.ns);
  }

  std::vector<Diagnostic> run(const std::vector<k8s::AnyObject>& objects) {
    for (const k8s::AnyObject& any : objects) {
      object_ = &k8s::base_of(any);
      if (const auto* policy = std::get_if<AuthorizationPolicy>(&any))
        authorization(*policy);
      else if (const auto* peer = std::get_if<k8s::PeerAuthentication>(&any))
        peer_authentication(*peer);
      else if (const auto* request = std::get_if<k8s::RequestAuthentication>(&any))
        request_authentication(*request);
    }
    for (const Workload& workload : workloads_) annotations(workload);
    return std::move(out_);
  }

 private:
  void warn(const codec::Mark& mark, const std::string& path, std::string message) {
    Diagnostic d;
    d.severity = Diagnostic::Severity::kWarning;
    d.origin = {object_->origin.file, mark.line > 0 ? mark : object_->origin.mark};
    d.object = k8s::name_of(*object_);
    d.field_path = path;
    d.message = std::move(message);
    out_.push_back(std::move(d));
  }
  void warn(const Condition& condition, std::string message) {
    warn(condition.mark, condition.path, std::move(message));
  }

  [[nodiscard]] bool in_scope(const std::string& ns, const Workload& workload) const {
    return ns == workload.pod.ns || ns == world_.mesh.root_namespace;
  }

  [[nodiscard]] std::vector<const Workload*> selected(const std::string& ns,
                                                      const k8s::Labels& selector) const {
    std::vector<const Workload*> out;
    for (const Workload& workload : workloads_)
      if (in_scope(ns, workload) && world::selects(selector, workload.pod.labels))
        out.push_back(&workload);
    return out;
  }

  // Where the manifests hold workloads of the scope and the labels fit none of them.
  void check_selector(const k8s::Labels& selector, const std::vector<const Workload*>& found) {
    bool any = std::any_of(workloads_.begin(), workloads_.end(), [&](const Workload& workload) {
      return in_scope(object_->meta.ns, workload);
    });
    if (selector.empty() || !found.empty() || !any) return;
    warn((*object_->raw)["spec"]["selector"].mark, "spec.selector",
         "selects no workload of these manifests");
  }

  // --- AuthorizationPolicy --------------------------------------------------------------------

  void authorization(const AuthorizationPolicy& policy) {
    if (policy.has_target_refs) return;
    const std::vector<const Workload*> found = selected(policy.meta.ns, policy.selector);
    check_selector(policy.selector, found);
    for (size_t i = 0; i < policy.rules.size(); ++i) {
      const std::vector<Condition> conditions = conditions_of(policy, i);
      stray_dash(policy, i);
      for (const Condition& condition : conditions) {
        identity(policy, condition, found);
        token(policy, condition);
        host(policy, condition);
        negative(policy, condition);
        path(policy, condition);
      }
      opaque_ports(policy, i, conditions, found);
    }
  }

  // "- from: ..." and "- to: ..." beside each other are two rules, of which one suffices.
  void stray_dash(const AuthorizationPolicy& policy, size_t index) {
    if (index + 1 >= policy.rules.size()) return;
    const k8s::AuthorizationRule& first = policy.rules[index];
    const k8s::AuthorizationRule& second = policy.rules[index + 1];
    bool from_only = !first.from.empty() && first.to.empty() && first.when.empty();
    bool rest_only = second.from.empty() && (!second.to.empty() || !second.when.empty());
    if (!from_only || !rest_only) return;
    warn(second.mark, "spec.rules[" + std::to_string(index + 1) + "]",
         "has no `from`, and the rule before has nothing else: each of them matches by itself; if "
         "both are meant together, take the \"-\" away");
  }

  [[nodiscard]] bool accepts_plaintext(const world::Endpoint& pod) const {
    const authz::PeerModes modes = authz::peer_modes(world_, pod);
    auto lax = [](const authz::PortMode& mode) { return mode.mode != k8s::MutualTlsMode::kStrict; };
    return lax(modes.base) || std::any_of(modes.ports.begin(), modes.ports.end(),
                                          [&](const auto& port) { return lax(port.second); });
  }

  // One that is not STRICT throughout; null where all are.
  [[nodiscard]] static const Workload* not_strict(const std::vector<const Workload*>& found) {
    for (const Workload* workload : found)
      if (workload->accepts_plaintext) return workload;
    return nullptr;
  }

  void identity(const AuthorizationPolicy& policy, const Condition& condition,
                const std::vector<const Workload*>& found) {
    if (condition.subject != Subject::kIdentity) return;
    trust_domains(condition);
    unknown_namespaces(condition);
    bool escapes = policy.action == AuthorizationAction::kDeny && !condition.negative;
    bool slips_in = policy.action == AuthorizationAction::kAllow && condition.negative;
    const Workload* lax = escapes || slips_in ? not_strict(found) : nullptr;
    if (lax == nullptr) return;
    warn(condition, std::string("a caller without mutual TLS has no identity and is ") +
                        (escapes ? "not denied by this" : "allowed by this") + ", and " +
                        name_of(*lax) + " accepts such callers; make it STRICT");
  }

  void trust_domains(const Condition& condition) {
    if (condition.name.find("rincipal") == std::string::npos) return;
    for (const std::string& value : *condition.values) {
      std::vector<std::string> parts = split(value, '/');
      const std::string& domain = parts[0];
      if (parts.size() != 5 || domain.find('*') != std::string::npos || domain == "cluster.local" ||
          domain == world_.mesh.trust_domain)
        continue;
      warn(condition, codec::quote_json(value.substr(0, 80)) +
                          ": the trust domain of this mesh is " + world_.mesh.trust_domain);
    }
  }

  void unknown_namespaces(const Condition& condition) {
    if (condition.name != "namespaces" && condition.name != "notNamespaces" &&
        condition.name != "source.namespace")
      return;
    if (namespaces_.empty()) return;
    for (const std::string& value : *condition.values)
      if (value.find('*') == std::string::npos && !namespaces_.contains(value))
        warn(condition, "there is no namespace " + codec::quote_json(value.substr(0, 80)) +
                            " in these manifests");
  }

  void token(const AuthorizationPolicy& policy, const Condition& condition) {
    if (condition.subject != Subject::kToken) return;
    for (const auto& request : world_.request_authentications)
      if (!request->has_target_refs && !request->rules.empty() &&
          (request->meta.ns == policy.meta.ns || request->meta.ns == world_.mesh.root_namespace ||
           policy.meta.ns == world_.mesh.root_namespace))
        return;
    warn(condition,
         "no RequestAuthentication checks tokens here, so that no request has what is compared");
  }

  // What restricts meets a Host with any port; what allows does not.
  void host(const AuthorizationPolicy& policy, const Condition& condition) {
    bool allows = (policy.action == AuthorizationAction::kAllow) != condition.negative;
    if (condition.subject != Subject::kHost || !allows) return;
    const auto& values = *condition.values;
    for (const std::string& value : values) {
      if (value.find_first_of("*:") != std::string::npos) continue;
      bool with_port = std::any_of(values.begin(), values.end(), [&](const std::string& other) {
        return other.starts_with(value + ":") || other == value + "*";
      });
      if (!with_port)
        warn(condition, codec::quote_json(value.substr(0, 80)) +
                            " does not match a Host with a port; name " +
                            codec::quote_json(value.substr(0, 80) + ":*") + " too");
    }
  }

  void negative(const AuthorizationPolicy& policy, const Condition& condition) {
    bool operation = condition.subject == Subject::kPath || condition.subject == Subject::kMethod ||
                     condition.subject == Subject::kHost;
    if (policy.action == AuthorizationAction::kAllow && condition.negative && operation)
      warn(condition, "allows everything that is not named; better name what is allowed");
  }

  void path(const AuthorizationPolicy& policy, const Condition& condition) {
    if (policy.action == AuthorizationAction::kDeny && !condition.negative &&
        condition.subject == Subject::kPath)
      warn(condition,
           "denies only what is named, and an application may know other names for it; better deny "
           "with notPaths or allow with paths");
  }

  // HTTP conditions at ports that are declared to carry something else.
  void opaque_ports(const AuthorizationPolicy& policy, size_t rule,
                    const std::vector<Condition>& conditions,
                    const std::vector<const Workload*>& found) {
    std::vector<std::string> fields;
    for (const Condition& condition : conditions)
      if (condition.http_only()) fields.push_back(condition.name);
    if (fields.empty() || policy.action == AuthorizationAction::kCustom) return;
    for (const Workload* workload : found) {
      for (const auto& [port, protocol] : workload->opaque_ports) {
        if (!covers(policy.rules[rule], port)) continue;
        const std::string place = "port " + std::to_string(port) + " of " + name_of(*workload) +
                                  " is declared as " + std::string(mesh::to_string(protocol));
        warn(policy.rules[rule].mark, "spec.rules[" + std::to_string(rule) + "]",
             place + ", where HTTP conditions (" + join(fields, ", ") + ") " +
                 (policy.action == AuthorizationAction::kAllow
                      ? "make that the rule allows nothing"
                      : "are ignored, so that the rule matches more"));
        return;
      }
    }
  }

  [[nodiscard]] std::set<uint16_t> tcp_ports(const Workload& workload) const {
    std::set<uint16_t> out;
    auto add = [&](int port) {
      if (port > 0 && port <= 65535) out.insert(static_cast<uint16_t>(port));
    };
    for (const k8s::ContainerPort& port : workload.pod.ports)
      if (port.protocol == k8s::Protocol::kTcp) add(port.port);
    for (const auto& service : world_.services) {
      if (service->meta.ns != workload.pod.ns || service->selector.empty() ||
          !world::selects(service->selector, workload.pod.labels))
        continue;
      for (const k8s::ServicePort& port : service->ports)
        if (port.protocol == k8s::Protocol::kTcp) add(world::target_port(port, workload.pod));
    }
    return out;
  }

  static bool covers(const k8s::AuthorizationRule& rule, uint16_t port) {
    const std::string text = std::to_string(port);
    auto holds = [&](const std::vector<std::string>& list) {
      return std::find(list.begin(), list.end(), text) != list.end();
    };
    for (const k8s::AuthorizationCondition& when : rule.when)
      if (when.key == "destination.port" &&
          ((!when.match.values.empty() && !holds(when.match.values)) ||
           holds(when.match.not_values)))
        return false;
    return rule.to.empty() || std::any_of(rule.to.begin(), rule.to.end(), [&](const auto& to) {
             return (to.ports.values.empty() || holds(to.ports.values)) &&
                    !holds(to.ports.not_values);
           });
  }

  // --- the others -----------------------------------------------------------------------------

  void peer_authentication(const k8s::PeerAuthentication& peer) {
    if (peer.has_selector && peer.meta.ns == world_.mesh.root_namespace) {
      warn((*peer.raw)["spec"]["selector"].mark, "spec.selector",
           "is not heeded in the root namespace " + peer.meta.ns + ": this object has no effect");
      return;
    }
    if (peer.has_selector) {
      check_selector(peer.selector, selected(peer.meta.ns, peer.selector));
      return;
    }
    // Of several for one namespace the oldest counts, then the first by name.
    auto older = [](const k8s::PeerAuthentication& a, const k8s::PeerAuthentication& b) {
      return std::tie(a.meta.creation_timestamp, a.meta.name) <
             std::tie(b.meta.creation_timestamp, b.meta.name);
    };
    for (const auto& other : world_.peer_authentications) {
      if (other->meta.ns != peer.meta.ns || other->has_selector || !older(*other, peer)) continue;
      warn(peer.origin.mark, "",
           "has no effect: PeerAuthentication " + other->meta.name +
               " is for the same namespace and older, or first by name");
      return;
    }
  }

  void request_authentication(const k8s::RequestAuthentication& request) {
    if (request.has_target_refs || request.rules.empty()) return;
    const std::vector<const Workload*> found = selected(request.meta.ns, request.selector);
    check_selector(request.selector, found);
    const std::string& root = world_.mesh.root_namespace;
    bool everywhere = request.meta.ns == root && !token_askers_.empty();
    if (everywhere || token_askers_.contains(request.meta.ns) || token_askers_.contains(root))
      return;
    warn(request.origin.mark, "",
         "a request without a token still passes: no AuthorizationPolicy asks for a request "
         "principal or a claim here");
  }

  void annotations(const Workload& workload) {
    object_ = workload.object;
    for (const std::string& problem :
         mesh::membership(world_, workload.pod, mesh::UnlabelledPods::kIn).problems)
      warn(object_->origin.mark, "metadata.annotations", problem);
  }

  world::World world_;
  std::vector<Workload> workloads_;
  std::set<std::string> namespaces_;
  std::set<std::string> token_askers_;  // namespaces whose policies ask for what tokens say
  const k8s::Object* object_ = nullptr;
  std::vector<Diagnostic> out_;
};

bool has_mesh_annotation(const std::map<std::string, std::string>& annotations) {
  return std::any_of(annotations.begin(), annotations.end(), [](const auto& annotation) {
    return annotation.first.starts_with("traffic.sidecar.istio.io/") ||
           annotation.first.starts_with("sallyport.dev/");
  });
}

bool concerns_the_mesh(const k8s::AnyObject& any) {
  if (const auto* deployment = std::get_if<k8s::Deployment>(&any))
    return has_mesh_annotation(deployment->pod.annotations);
  if (const auto* set = std::get_if<k8s::StatefulSet>(&any))
    return has_mesh_annotation(set->pod.annotations);
  if (const auto* job = std::get_if<k8s::Job>(&any))
    return has_mesh_annotation(job->pod.annotations);
  if (const auto* pod = std::get_if<k8s::Pod>(&any))
    return has_mesh_annotation(pod->meta.annotations);
  return std::holds_alternative<AuthorizationPolicy>(any) ||
         std::holds_alternative<k8s::PeerAuthentication>(any) ||
         std::holds_alternative<k8s::RequestAuthentication>(any);
}

}  // namespace

std::vector<Diagnostic> mesh_lints(const std::vector<k8s::AnyObject>& objects) {
  // A node asks at every change, and a world costs more than nothing.
  if (std::none_of(objects.begin(), objects.end(), concerns_the_mesh)) return {};
  return Linter(objects).run(objects);
}

}  // namespace sallyport::analysis
