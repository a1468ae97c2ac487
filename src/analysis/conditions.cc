#include "analysis/conditions.h"

#include <array>

namespace sallyport::analysis {
namespace {

using codec::Value;
using k8s::AuthorizationOperation;
using k8s::AuthorizationSource;
using k8s::MatchValues;

template <class T>
struct Part {
  std::string_view name;
  std::string_view not_name;
  MatchValues T::* values;
  Subject subject;
};

constexpr std::array kSourceParts{
    Part<AuthorizationSource>{"principals", "notPrincipals", &AuthorizationSource::principals,
                              Subject::kIdentity},
    Part<AuthorizationSource>{"requestPrincipals", "notRequestPrincipals",
                              &AuthorizationSource::request_principals, Subject::kToken},
    Part<AuthorizationSource>{"namespaces", "notNamespaces", &AuthorizationSource::namespaces,
                              Subject::kIdentity},
    Part<AuthorizationSource>{"serviceAccounts", "notServiceAccounts",
                              &AuthorizationSource::service_accounts, Subject::kIdentity},
    Part<AuthorizationSource>{"trustDomains", "notTrustDomains",
                              &AuthorizationSource::trust_domains, Subject::kIdentity},
    Part<AuthorizationSource>{"ipBlocks", "notIpBlocks", &AuthorizationSource::ip_blocks,
                              Subject::kOther},
    Part<AuthorizationSource>{"remoteIpBlocks", "notRemoteIpBlocks",
                              &AuthorizationSource::remote_ip_blocks, Subject::kOther}};
constexpr std::array kOperationParts{
    Part<AuthorizationOperation>{"hosts", "notHosts", &AuthorizationOperation::hosts,
                                 Subject::kHost},
    Part<AuthorizationOperation>{"ports", "notPorts", &AuthorizationOperation::ports,
                                 Subject::kPort},
    Part<AuthorizationOperation>{"methods", "notMethods", &AuthorizationOperation::methods,
                                 Subject::kMethod},
    Part<AuthorizationOperation>{"paths", "notPaths", &AuthorizationOperation::paths,
                                 Subject::kPath}};

Subject subject_of_key(std::string_view key) {
  if (key.starts_with("request.auth.")) return Subject::kToken;
  if (key.starts_with("request.headers")) return Subject::kHeader;
  if (key == "source.ip") return Subject::kOther;
  if (key.starts_with("source.")) return Subject::kIdentity;
  return key == "destination.port" ? Subject::kPort : Subject::kOther;
}

const Value& item_of(const Value& list, size_t index) {
  static const Value kNone;
  return index < list.items().size() ? list.items()[index] : kNone;
}

class Collector {
 public:
  Collector(const k8s::AuthorizationPolicy& policy, size_t rule)
      : rule_(policy.rules[rule]), path_("spec.rules[" + std::to_string(rule) + "]") {
    if (policy.raw) raw_ = &item_of((*policy.raw)["spec"]["rules"], rule);
  }

  std::vector<Condition> run() {
    for (size_t i = 0; i < rule_.from.size(); ++i)
      parts(rule_.from[i], kSourceParts, "from", "source", i);
    for (size_t i = 0; i < rule_.to.size(); ++i)
      parts(rule_.to[i], kOperationParts, "to", "operation", i);
    for (size_t i = 0; i < rule_.when.size(); ++i) {
      const k8s::AuthorizationCondition& when = rule_.when[i];
      const Subject subject = subject_of_key(when.key);
      const Value& raw = item_of(node("when"), i);
      const std::string path = path_ + ".when[" + std::to_string(i) + "].";
      add(subject, when.key, false, when.match.values, path + "values", raw["values"]);
      add(subject, when.key, true, when.match.not_values, path + "notValues", raw["notValues"]);
    }
    return std::move(out_);
  }

 private:
  template <class T, class Parts>
  void parts(const T& of, const Parts& all, const char* list, const char* member, size_t index) {
    const Value& raw = item_of(node(list), index)[member];
    const std::string path = path_ + "." + list + "[" + std::to_string(index) + "]." + member + ".";
    for (const Part<T>& part : all) {
      const MatchValues& values = of.*part.values;
      const std::string name(part.name), not_name(part.not_name);
      add(part.subject, name, false, values.values, path + name, raw[name]);
      add(part.subject, not_name, true, values.not_values, path + not_name, raw[not_name]);
    }
  }

  [[nodiscard]] const Value& node(std::string_view list) const {
    static const Value kNone;
    return raw_ == nullptr ? kNone : (*raw_)[list];
  }

  void add(Subject subject, std::string name, bool negative, const std::vector<std::string>& values,
           std::string path, const Value& raw) {
    if (values.empty()) return;
    out_.push_back({subject, std::move(name), negative, &values, std::move(path),
                    raw.mark.line > 0 ? raw.mark : rule_.mark});
  }

  const k8s::AuthorizationRule& rule_;
  std::string path_;
  const Value* raw_ = nullptr;
  std::vector<Condition> out_;
};

}  // namespace

std::vector<Condition> conditions_of(const k8s::AuthorizationPolicy& policy, size_t rule) {
  return Collector(policy, rule).run();
}

}  // namespace sallyport::analysis
