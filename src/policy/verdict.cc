#include "policy/verdict.h"

namespace sallyport::policy {

std::string_view to_string(Direction direction) {
  return direction == Direction::kEgress ? "egress" : "ingress";
}

std::string_view to_string(Reason reason) {
  switch (reason) {
    case Reason::kRule:
      return "rule";
    case Reason::kNotIsolated:
      return "not isolated";
    case Reason::kImplicitDeny:
      return "implicit deny";
    case Reason::kSelf:
      return "self";
    case Reason::kNode:
      return "node";
    case Reason::kNoPod:
      return "no pod";
    case Reason::kHostNetwork:
      return "host network";
  }
  return "?";
}

}  // namespace sallyport::policy
