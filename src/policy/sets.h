// Rule sets: what one direction of a pod is judged by. Pods with the same policies (and, for
// ingress, the same numbers behind the named ports) share one.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "policy/classes.h"
#include "policy/compiled.h"
#include "policy/lower.h"

namespace sallyport::policy {

// The policies of one pod, as indices into Lowered, in order of precedence.
struct Selected {
  std::vector<uint32_t> network, admin, baseline;
};

class SetCompiler {
 public:
  SetCompiler(const Lowered& lowered, const ClassTable& classes, RuleRegistry& rules)
      : lowered_(lowered), classes_(classes), rules_(rules) {}

  // 0 where nothing concerns the direction.
  SetId set_of(Direction direction, const Selected& selected,
               const std::vector<k8s::ContainerPort>& ports);

  // Fills sets, programs and programs_of. Call once, when every class is known.
  void build(Compiled& out);

 private:
  struct Plan {
    Direction direction = Direction::kEgress;
    std::vector<const LoweredRule*> rules;
    size_t admin = 0;       // so many rules come first and are of the Admin tier
    Step tail;              // where no rule decides
    NamedPorts names;       // of the pod, for ingress
    bool by_names = false;  // egress: the remote pod's named ports matter
  };
  using Hits = std::vector<uint32_t>;  // indices into Plan::rules, sorted

  void build_set(const Plan& plan, SetId id, Compiled& out);
  void add_pairs(const Plan& plan, SetId id, ProgramId fallback,
                 const std::vector<std::pair<ClassId, ProgramId>>& found, Compiled& out) const;
  [[nodiscard]] PortProgram program(const Plan& plan, const Hits& hits, ClassId peer) const;
  ProgramId intern(PortProgram program, Compiled& out);

  const Lowered& lowered_;
  const ClassTable& classes_;
  RuleRegistry& rules_;
  std::vector<Plan> plans_;  // index = SetId - 1
  std::unordered_map<std::vector<uint32_t>, SetId, WordsHash> by_key_;
  std::unordered_map<std::vector<uint32_t>, ProgramId, WordsHash> program_ids_;
};

}  // namespace sallyport::policy
