// An AuthorizationPolicy's rule as a flat list of its conditions, each with its place in the
// manifest: `source.principals` and `when: source.principal` are the same condition.
#pragma once

#include <string>
#include <vector>

#include "k8s/objects.h"

namespace sallyport::analysis {

enum class Subject {
  kIdentity,  // principals, namespaces, service accounts, trust domains: of the caller's
              // certificate
  kToken,     // request principals and claims
  kHost,
  kPath,
  kMethod,
  kHeader,
  kPort,
  kOther,  // addresses, SNI
};

struct Condition {
  Subject subject = Subject::kOther;
  std::string name;       // as written: "principals", "notPaths", "source.principal"
  bool negative = false;  // a not-twin
  const std::vector<std::string>* values = nullptr;
  std::string path;  // "spec.rules[0].from[1].source.notPrincipals"
  codec::Mark mark;  // of the list; of the rule where the manifest is not at hand
  [[nodiscard]] bool http_only() const {
    return subject == Subject::kToken || subject == Subject::kHost || subject == Subject::kPath ||
           subject == Subject::kMethod || subject == Subject::kHeader;
  }
};

// Points into the policy.
std::vector<Condition> conditions_of(const k8s::AuthorizationPolicy& policy, size_t rule);

}  // namespace sallyport::analysis
