#include "analysis/explain_point.h"

#include <algorithm>

#include "analysis/names.h"
#include "analysis/target.h"
#include "base/strings.h"
#include "k8s/selector.h"
#include "policy/evaluator.h"
#include "policy/explain.h"

namespace sallyport::analysis {
namespace {

using Destination = policy::Query;  // only its to_pod, to, protocol and port are filled

std::string text_of(const k8s::ContainerPort& port) {
  return std::to_string(port.port) + "/" + std::string(k8s::to_string(port.protocol));
}

// The number of `wanted` on a pod: a number stands for itself, a name for a container port.
std::optional<k8s::ContainerPort> port_on(const world::Endpoint& pod,
                                          const k8s::IntOrString& wanted,
                                          std::optional<k8s::Protocol> protocol) {
  if (!wanted.is_name())
    return k8s::ContainerPort{"", wanted.number, protocol.value_or(k8s::Protocol::kTcp)};
  for (const k8s::ContainerPort& port : pod.ports)
    if (port.name == wanted.name && (!protocol || *protocol == port.protocol)) return port;
  return std::nullopt;
}

// The port that the target names, or the only one that the pod's containers declare.
Result<k8s::ContainerPort> asked_port(const world::Endpoint& pod, const Target& target) {
  if (target.port) {
    if (auto found = port_on(pod, *target.port, target.protocol)) return *found;
    return fail(Code::kNotFound, "pod " + pod.key() + " has no port named " + target.port->name);
  }
  std::vector<k8s::ContainerPort> declared;
  std::vector<std::string> texts;
  for (const k8s::ContainerPort& port : pod.ports) {
    if (target.protocol && port.protocol != *target.protocol) continue;
    declared.push_back(port);
    texts.push_back(text_of(port));
  }
  if (declared.size() == 1) return declared[0];
  return fail(Code::kInvalid,
              "which port of pod " + pod.key() + "? Write " + pod.key() + ":PORT" +
                  (texts.empty() ? std::string(" (its containers declare none)")
                                 : " (its containers declare " + join(texts, ", ") + ")"));
}

Result<Destination> to_pod(const world::Endpoint& pod, const Target& target) {
  Destination out;
  out.to_pod = &pod;
  if (target.protocol == k8s::Protocol::kIcmp) {
    out.protocol = k8s::Protocol::kIcmp;
    return out;
  }
  SP_TRY(k8s::ContainerPort port, asked_port(pod, target));
  out.protocol = port.protocol;
  out.port = static_cast<uint16_t>(port.port);
  return out;
}

Result<const k8s::ServicePort*> port_of(const k8s::Service& service, const Target& target) {
  std::string name = service.meta.ns + "/" + service.meta.name;
  std::vector<std::string> offered;
  for (const k8s::ServicePort& port : service.ports) {
    bool wanted = !target.port || (target.port->is_name() ? port.name == target.port->name
                                                          : port.port == target.port->number);
    if (wanted && (!target.protocol || port.protocol == *target.protocol)) return &port;
    offered.push_back(std::to_string(port.port) + "/" + std::string(k8s::to_string(port.protocol)));
  }
  return fail(Code::kNotFound, "Service " + name + " does not offer this port; it offers " +
                                   (offered.empty() ? "none" : join(offered, ", ")));
}

// The pods behind a Service, each with its target port.
Result<std::vector<Destination>> to_service(const world::World& world, const Target& target) {
  SP_TRY(const k8s::Service* service, find_service(world, target.ns, target.name));
  std::string name = target.ns + "/" + target.name;
  if (target.protocol == k8s::Protocol::kIcmp)
    return fail(Code::kInvalid, "a Service is for TCP, UDP and SCTP; ask about its pods");
  SP_TRY(const k8s::ServicePort* port, port_of(*service, target));
  if (service->selector.empty())
    return fail(Code::kInvalid, "Service " + name + " selects no pods");
  std::vector<Destination> out;
  size_t selected = 0, without_port = 0;
  for (const world::Endpoint& pod : world.endpoints) {
    if (pod.ns != target.ns || pod.terminated || !k8s::matches({service->selector, {}}, pod.labels))
      continue;
    ++selected;
    if (!service->publish_not_ready && (!pod.ready || pod.terminating)) continue;
    auto number = port_on(pod, port->target_port, port->protocol);
    if (!number) {
      ++without_port;
      continue;
    }
    Destination one;
    one.to_pod = &pod;
    one.protocol = port->protocol;
    one.port = static_cast<uint16_t>(number->port);
    out.push_back(one);
  }
  if (!out.empty()) return out;
  std::string why = selected == 0 ? "no pod has its labels"
                    : without_port > 0
                        ? "no ready pod has a port named " + port->target_port.name
                        : std::to_string(selected) + " of its pods exist, none is ready";
  return fail(Code::kUnavailable,
              "Service " + name + " refuses connections: " + why + ". Ask about a pod instead");
}

Result<std::vector<Destination>> destinations(const world::World& world, const Target& target) {
  if (target.kind == Target::Kind::kService) return to_service(world, target);
  if (target.kind == Target::Kind::kPod) {
    SP_TRY(const world::Endpoint* pod, find_pod(world, target.ns, target.name));
    SP_TRY(Destination one, to_pod(*pod, target));
    return std::vector{one};
  }
  // An address may be a pod's; its ports are then known.
  if (const world::Endpoint* pod = world.find_ip(target.ip);
      pod != nullptr && (target.port ? target.port->is_name() : pod->selectable())) {
    SP_TRY(Destination one, to_pod(*pod, target));
    one.to = target.ip;
    return std::vector{one};
  }
  Destination out;
  out.to = target.ip;
  out.protocol = target.protocol.value_or(k8s::Protocol::kTcp);
  if (out.protocol == k8s::Protocol::kIcmp) return std::vector{out};
  std::string address = target.ip.to_string();
  if (target.ip.family() == Family::kV6) address = "[" + address + "]";
  if (!target.port) return fail(Code::kInvalid, "which port? Write " + address + ":PORT");
  if (target.port->is_name())
    return fail(Code::kInvalid, address + " is no pod and has no named ports");
  out.port = static_cast<uint16_t>(target.port->number);
  return std::vector{out};
}

bool has(const world::Endpoint* pod, const Ip& ip, Family family) {
  if (ip != Ip{}) return ip.family() == family;
  return pod != nullptr && std::any_of(pod->ips.begin(), pod->ips.end(),
                                       [&](const Ip& own) { return own.family() == family; });
}

bool both_have(const policy::Query& query, Family family) {
  return has(query.from_pod, query.from, family) && has(query.to_pod, query.to, family);
}

Result<Family> choose_family(const policy::Query& query, std::optional<Family> wanted) {
  bool from_given = query.from != Ip{}, to_given = query.to != Ip{};
  if (from_given && to_given && query.from.family() != query.to.family())
    return fail(Code::kInvalid, "the two addresses are of different families");
  std::optional<Family> given;
  if (from_given) given = query.from.family();
  if (to_given) given = query.to.family();
  if (wanted && given && *wanted != *given)
    return fail(Code::kInvalid, "the address that is given is of the other family");
  if (given || wanted) return given ? *given : *wanted;
  if (!both_have(query, Family::kV4) && both_have(query, Family::kV6)) return Family::kV6;
  return Family::kV4;
}

// Says where the other family of two dual-stack pods is answered otherwise.
std::string other_family_note(const world::World& world, const PointCase& one) {
  policy::Query other = one.query;
  other.family = one.query.family == Family::kV4 ? Family::kV6 : Family::kV4;
  if (!both_have(other, other.family)) return "";
  policy::Verdict verdict = policy::evaluate(world, other);
  if (verdict.allow == one.verdict.allow) return "";
  std::string name = other.family == Family::kV4 ? "IPv4" : "IPv6";
  return "Over " + name + " the answer is another:\n" + policy::explain_text(world, other, verdict);
}

// What a client would send as Host, where the question does not say.
std::string default_host(const world::World& world, const policy::Query& query,
                         const Target& target) {
  std::string host;
  int port = query.port;
  if (target.kind == Target::Kind::kService) {
    host = target.name + "." + target.ns;
    if (auto service = find_service(world, target.ns, target.name))
      if (auto offered = port_of(**service, target)) port = (*offered)->port;
  } else {
    Ip ip = query.to;
    if (ip == Ip{} && query.to_pod != nullptr)
      for (const Ip& own : query.to_pod->ips)
        if (own.family() == query.family) ip = own;
    if (ip == Ip{}) return "";
    host = ip.family() == Family::kV6 ? "[" + ip.to_string() + "]" : ip.to_string();
  }
  return port == 80 ? host : host + ":" + std::to_string(port);
}

bool speaks_http(mesh::AppProtocol protocol) {
  return protocol == mesh::AppProtocol::kHttp || protocol == mesh::AppProtocol::kHttp2 ||
         protocol == mesh::AppProtocol::kGrpc;
}

std::optional<MeshVerdict> ask_mesh(const world::World& world, const policy::Query& query,
                                    const Target& target, const PointMesh& asked) {
  MeshQuery question = asked.query;
  const world::Endpoint* pod = query.to_pod;
  if (pod == nullptr && query.to != Ip{}) pod = world.find_ip(query.to);
  bool assumed = false;
  if (!question.http && pod != nullptr &&
      speaks_http(mesh::inbound_protocol(world, *pod, query.port))) {
    question.http.emplace();
    assumed = true;
  }
  if (question.http && question.http->host.empty())
    question.http->host = default_host(world, query, target);
  auto verdict = judge_mesh(world, query, question, asked.unlabelled);
  using Step = MeshVerdict::Step;
  bool judged = verdict && (verdict->step == Step::kAuthorization || verdict->step == Step::kToken);
  if (!judged || asked.query.http || !verdict->note.empty()) return verdict;
  verdict->note = assumed ? "the port is declared to carry HTTP, so GET / was asked; name another "
                            "request with --method and --path"
                          : "judged as opaque TCP; for a request name --method and --path";
  return verdict;
}

std::string both_gates_text(const world::World& world, const PointCase& one) {
  policy::Verdict shown = one.verdict;
  shown.allow = one.allow();
  std::string text = policy::explain_text(world, one.query, shown);
  constexpr std::string_view kDeny = "DENY   ";
  bool rejected = one.mesh && one.mesh->outcome == MeshVerdict::Outcome::kReject;
  if (one.verdict.allow && rejected && text.starts_with(kDeny))
    text.replace(0, kDeny.size(), "REJECT ");
  return one.mesh ? text + mesh_text(*one.mesh, one.query.port) : text;
}

}  // namespace

Result<PointAnswer> explain_point(const world::World& world, std::string_view from,
                                  std::string_view to, std::optional<Family> family,
                                  const PointMesh& mesh) {
  SP_TRY(Target source, parse_target(from, false));
  SP_TRY(Target target, parse_target(to, true));
  if (source.kind == Target::Kind::kService)
    return fail(Code::kInvalid, "a Service opens no connections; name one of its pods as FROM");
  const world::Endpoint* from_pod = nullptr;
  if (source.kind == Target::Kind::kPod) {
    SP_TRY(from_pod, find_pod(world, source.ns, source.name));
  }
  SP_TRY(std::vector<Destination> found, destinations(world, target));

  PointAnswer answer;
  for (policy::Query query : found) {
    query.from_pod = from_pod;
    query.from = source.ip;
    SP_TRY(query.family, choose_family(query, family));
    PointCase one{query, policy::evaluate(world, query), ask_mesh(world, query, target, mesh)};
    answer.allow = answer.allow && one.allow();
    answer.text += both_gates_text(world, one);
    if (!family) answer.text += other_family_note(world, one);
    answer.cases.push_back(std::move(one));
  }
  if (target.kind == Target::Kind::kService) {
    size_t allowed =
        static_cast<size_t>(std::count_if(answer.cases.begin(), answer.cases.end(),
                                          [](const PointCase& one) { return one.allow(); }));
    answer.text = "Service " + target.ns + "/" + target.name + ": " + std::to_string(allowed) +
                  " of " + std::to_string(answer.cases.size()) + " ready pods can be reached\n" +
                  answer.text;
  }
  return answer;
}

}  // namespace sallyport::analysis
