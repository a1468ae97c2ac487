#include "k8s/node_support.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <tuple>

#include "k8s/field.h"
#include "k8s/kinds.h"
#include "k8s/mesh_settings.h"

namespace sallyport::k8s {
namespace {

using Severity = Diagnostic::Severity;

// API groups whose objects decide about traffic. Of them, Istio's three kinds are enforced.
constexpr std::array<std::string_view, 16> kPolicyGroups{
    "cilium.io",         "projectcalico.org",  "crd.projectcalico.org",
    "kuma.io",           "policy.linkerd.io",  "policy.networking.k8s.io",
    "security.istio.io", "crd.antrea.io",      "consul.hashicorp.com",
    "k8s.ovn.org",       "networking.k8s.aws", "vpcresources.k8s.aws",
    "networking.gke.io", "neuvector.com",      "kyverno.io",
    "sallyport.dev"};

template <class... Kinds>
bool is_one_of(const AnyObject& any) {
  return (std::holds_alternative<Kinds>(any) || ...);
}

bool is_enforced(const AnyObject& any) {
  return is_one_of<NetworkPolicy, AuthorizationPolicy, PeerAuthentication, RequestAuthentication>(
      any);
}

std::string_view group_of(std::string_view api_version) {
  size_t slash = api_version.find('/');
  return slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
}

// Fails closed for groups nobody has listed: what is called a policy is taken for one.
bool is_policy(const Object& object) {
  std::string_view group = group_of(object.api_version);
  bool listed = std::find(kPolicyGroups.begin(), kPolicyGroups.end(), group) != kPolicyGroups.end();
  return listed || object.kind.ends_with("Policy");
}

// A value that asks for nothing.
bool is_harmless(const codec::Value& value, std::string_view harmless) {
  using Type = codec::Value::Type;
  switch (value.type()) {
    case Type::kNull:
      return true;
    case Type::kBool:
      return value.as_bool() == (harmless == "true");
    case Type::kInt:
      return value.as_int() == 0;
    case Type::kFloat:
      return value.as_double() == 0;
    case Type::kString:
      return value.as_string().empty() || value.as_string() == harmless;
    case Type::kList:
      return value.items().empty();
    case Type::kMap:
      return false;  // hostPath: {} and grpc: {} ask for something too
  }
  return false;
}

void report(const Field& field, const FieldSchema& schema) {
  bool refused = schema.use == Use::kRefused;
  std::string text = refused ? "is refused: " : "has no effect: ";
  if (refused && field.value().is_string() && field.text().size() <= 40)
    text = quoted(field.text()) + " is refused: ";
  bool scalar = !field.value().is_map() && !field.value().is_list();
  field.sink().add(refused ? Severity::kError : Severity::kWarning,
                   scalar ? field.mark() : field.key_mark(), field.path(),
                   text + std::string(schema.note));
}

void walk(const Field& field) {
  if (field.type().shape == TypeRef::Shape::kList) {
    for (const Field& item : field.items()) walk(item);
    return;
  }
  const TypeSchema* type = find_type(field.type().element);
  if (type == nullptr || field.type().shape == TypeRef::Shape::kMap) return;
  for (const Field& entry : field.entries()) {
    const FieldSchema* schema = type->find(entry.key());
    if (schema == nullptr) continue;
    Field member = field[entry.key()];
    if (schema->use == Use::kApplied)
      walk(member);
    else if (!is_harmless(member.value(), schema->harmless))
      report(member, *schema);
  }
}

void check_policy_object(const Object& object, bool allow, Sink& sink) {
  std::string what = object.kind + " (" + object.api_version + ") is not enforced by this node";
  if (allow)
    sink.add(Severity::kWarning, object.origin.mark, "", what);
  else
    sink.add(Severity::kError, object.origin.mark, "",
             what + "; remove it, or start with --allow-unenforced to run without it");
}

// What of Istio's kinds needs a part that the node does not have. Where it is allowed to stay, it
// fails closed.
class IstioParts {
 public:
  explicit IstioParts(bool allow) : allow_(allow) {}

  void check(const Field& root, const AnyObject& any) const {
    Field spec = root["spec"];
    if (std::holds_alternative<AuthorizationPolicy>(any)) authorization(spec);
    if (std::holds_alternative<RequestAuthentication>(any))
      for (const Field& rule : spec["jwtRules"].items()) tokens(rule);
  }

 private:
  void authorization(const Field& spec) const {
    constexpr std::string_view kDenied = "the workloads that this policy selects are denied";
    if (Field action = spec["action"]; action.text() == "CUSTOM")
      report(action, action.mark(), "action CUSTOM asks an external authorizer", kDenied);
    for (const Field& rule : spec["rules"].items())
      for (const Field& when : rule["when"].items()) condition(when["key"], kDenied);
  }

  void condition(const Field& key, std::string_view then) const {
    constexpr std::array<std::string_view, 3> kPseudo{
        "request.headers[:method]", "request.headers[:path]", "request.headers[:authority]"};
    if (key.text().starts_with("experimental."))
      report(key, key.mark(), quoted(key.text()) + " is metadata of Envoy's filters", then);
    else if (key.text().starts_with("request.headers[:") &&
             std::find(kPseudo.begin(), kPseudo.end(), key.text()) == kPseudo.end())
      report(key, key.mark(),
             quoted(key.text()) +
                 " is another pseudo-header than :method, :path "
                 "and :authority",
             then);
  }

  void tokens(const Field& rule) const {
    constexpr std::string_view kRefused = "every token of this rule is refused";
    bool has_uri = false;
    for (std::string_view name : {"jwksUri", "jwks_uri"}) {
      Field uri = rule[name];
      if (uri.text().empty()) continue;
      has_uri = true;
      report(uri, uri.key_mark(), "keys are not fetched; write them into jwks", kRefused);
    }
    if (!has_uri && rule["jwks"].text().empty())
      report(rule["jwks"], rule.mark(),
             "is missing: keys are not discovered from the issuer; write them into jwks", kRefused);
    for (std::string_view name : {"fromCookies", "fromParams", "outputClaimToHeaders"}) {
      Field list = rule[name];
      if (!list.value().items().empty())
        report(list, list.key_mark(), std::string(name) + " is not done", kRefused);
    }
    if (Field header = rule["outputPayloadToHeader"]; !header.text().empty())
      report(header, header.key_mark(), "outputPayloadToHeader is not done", kRefused);
  }

  void report(const Field& field, const codec::Mark& mark, const std::string& what,
              std::string_view then) const {
    if (allow_)
      field.sink().add(Severity::kWarning, mark, field.path(),
                       what + ", which this node does not support; " + std::string(then));
    else
      field.sink().add(Severity::kError, mark, field.path(),
                       "is refused: " + what + ", which this node does not support");
  }

  bool allow_;
};

// Namespaces are where Pod Security admission is switched on, which is not part of the node.
void check_namespace(const Field& root) {
  for (const Field& label : root["metadata"]["labels"].entries())
    if (label.key() == "pod-security.kubernetes.io/enforce" && label.text() != "privileged")
      label.sink().add(Severity::kWarning, label.key_mark(), label.path(),
                       "has no effect: Pod Security admission is not part of this node");
}

}  // namespace

std::vector<Diagnostic> unsupported_by_node(const Manifest& manifest, bool allow_unenforced) {
  std::vector<Diagnostic> out;
  for (const AnyObject& any : manifest.objects) {
    const Object& object = base_of(any);
    size_t first = out.size();
    Sink sink{object.origin.file, name_of(object), &out, 0, nullptr};
    if (is_policy(object) && !is_enforced(any)) {
      check_policy_object(object, allow_unenforced, sink);
    } else if (std::holds_alternative<OtherObject>(any)) {
      sink.add(Severity::kWarning, object.origin.mark, "",
               object.kind + " (" + object.api_version + ") has no effect: this kind is not read");
    } else if (auto kind = find_kind(object.api_version, object.kind); kind && object.raw) {
      Field root(sink, *object.raw, kind->schema);
      walk(root);
      if (std::holds_alternative<Namespace>(any)) check_namespace(root);
      if (is_enforced(any)) IstioParts(allow_unenforced).check(root, any);
    }
    std::sort(out.begin() + static_cast<std::ptrdiff_t>(first), out.end(),
              [](const Diagnostic& a, const Diagnostic& b) {
                auto key = [](const Diagnostic& d) {
                  return std::tie(d.origin.mark.line, d.origin.mark.column, d.field_path);
                };
                return key(a) < key(b);
              });
  }
  mesh_settings(manifest.objects, out);
  return out;
}

}  // namespace sallyport::k8s
