#include "policy/sets.h"

#include <algorithm>
#include <map>

namespace sallyport::policy {
namespace {

constexpr uint32_t kSeparator = 0xffffffff;

void append_pieces(std::vector<uint32_t>& key, const std::vector<PortPiece>& pieces) {
  for (const PortPiece& piece : pieces) {
    key.push_back(static_cast<uint32_t>(piece.action) << 16 | piece.first_port);
    key.push_back(piece.rule);
  }
  key.push_back(kSeparator);
}

}  // namespace

SetId SetCompiler::set_of(Direction direction, const Selected& selected,
                          const std::vector<k8s::ContainerPort>& ports) {
  auto d = static_cast<size_t>(direction);
  Plan plan;
  plan.direction = direction;
  std::vector<uint32_t> key{static_cast<uint32_t>(d)};
  RuleInfo deny{0, direction, Reason::kImplicitDeny, Action::kDeny, "", -1, {}};
  auto add = [&](const std::vector<LoweredPolicy>& policies, const std::vector<uint32_t>& indices) {
    for (uint32_t index : indices) {
      const LoweredPolicy& policy = policies[index];
      if (!policy.concerns(direction)) continue;
      key.push_back(index);
      if (policy.isolates[d]) deny.isolated_by.push_back(policy.name);
      for (const LoweredRule& rule : policy.rules[d]) plan.rules.push_back(&rule);
    }
    key.push_back(kSeparator);
  };
  add(lowered_.admin, selected.admin);
  plan.admin = plan.rules.size();
  add(lowered_.network, selected.network);
  bool isolated = !deny.isolated_by.empty();
  // NetworkPolicy always decides for a pod that it isolates: the Baseline tier is not reached.
  if (!isolated) add(lowered_.baseline, selected.baseline);
  if (!isolated && plan.rules.empty()) return 0;

  bool named = std::any_of(plan.rules.begin(), plan.rules.end(),
                           [](const LoweredRule* rule) { return rule->named(); });
  plan.by_names = named && direction == Direction::kEgress;
  if (named && direction == Direction::kIngress) {
    plan.names = named_ports_of(ports, lowered_.names[d]);
    append_key(key, plan.names);
  }
  auto [slot, fresh] = by_key_.try_emplace(std::move(key), static_cast<SetId>(plans_.size() + 1));
  if (!fresh) return slot->second;
  plan.tail.everything = true;
  plan.tail.effect = isolated ? Effect::kDeny : Effect::kAllow;
  if (isolated) {
    deny.policy = deny.isolated_by.front();
    std::sort(deny.isolated_by.begin(), deny.isolated_by.end());
    plan.tail.rule = rules_.intern(deny, 0);
  }
  plans_.push_back(std::move(plan));
  return slot->second;
}

PortProgram SetCompiler::program(const Plan& plan, const Hits& hits, ClassId peer) const {
  const NamedPorts& names =
      plan.direction == Direction::kEgress ? classes_.at(peer).names : plan.names;
  std::vector<Step> steps;
  size_t admin = 0;
  for (uint32_t hit : hits) {
    Step step = plan.rules[hit]->step(names);
    if (hit < plan.admin) {
      ++admin;
    } else if (step.effect == Effect::kPass) {  // of Baseline: the default follows
      step.effect = plan.tail.effect;
      step.rule = plan.tail.rule;
    }
    bool last = step.everything && step.effect != Effect::kPass;
    steps.push_back(std::move(step));
    // Behind a step that decides everything nothing is reached, unless a Pass jumps over it.
    if (last && hit >= plan.admin) return build_program(steps, admin);
  }
  steps.push_back(plan.tail);
  return build_program(steps, admin);
}

ProgramId SetCompiler::intern(PortProgram program, Compiled& out) {
  std::vector<uint32_t> key;
  append_pieces(key, program.tcp);
  append_pieces(key, program.udp);
  append_pieces(key, program.sctp);
  append_pieces(key, {program.other});
  auto [slot, fresh] =
      program_ids_.try_emplace(std::move(key), static_cast<ProgramId>(out.programs.size()));
  if (fresh) out.programs.push_back(std::move(program));
  return slot->second;
}

void SetCompiler::build_set(const Plan& plan, SetId id, Compiled& out) {
  Hits always;
  std::vector<std::pair<ClassId, uint32_t>> matches;  // class, rule
  for (uint32_t i = 0; i < plan.rules.size(); ++i) {
    if (plan.rules[i]->everyone) {
      always.push_back(i);
      continue;
    }
    for (PeerId peer : plan.rules[i]->peers)
      for (ClassId c : classes_.with_peer(peer)) matches.emplace_back(c, i);
  }
  // Classes that differ only by their named ports matter too; kSeparator stands for no rule.
  if (plan.by_names)
    for (ClassId c : classes_.with_names()) matches.emplace_back(c, kSeparator);
  std::sort(matches.begin(), matches.end());

  ProgramId fallback = intern(program(plan, always, 0), out);
  std::unordered_map<std::vector<uint32_t>, ProgramId, WordsHash> known;
  std::vector<std::pair<ClassId, ProgramId>> found;  // sorted by class
  for (size_t i = 0; i < matches.size();) {
    ClassId peer = matches[i].first;
    Hits hits = always;
    for (; i < matches.size() && matches[i].first == peer; ++i)
      if (matches[i].second != kSeparator) hits.push_back(matches[i].second);
    std::sort(hits.begin(), hits.end());
    hits.erase(std::unique(hits.begin(), hits.end()), hits.end());
    std::vector<uint32_t> key = hits;
    key.push_back(plan.by_names ? classes_.names_id(peer) : 0);
    auto slot = known.find(key);
    if (slot == known.end())
      slot = known.emplace(std::move(key), intern(program(plan, hits, peer), out)).first;
    found.emplace_back(peer, slot->second);
  }
  add_pairs(plan, id, fallback, found, out);
}

// `found` has the classes that some rule matches; all others have the program `fallback`. The
// program of most classes becomes the default: where a rule names all pods, the table would
// otherwise have an entry for each set and class.
void SetCompiler::add_pairs(const Plan& plan, SetId id, ProgramId fallback,
                            const std::vector<std::pair<ClassId, ProgramId>>& found,
                            Compiled& out) const {
  std::map<ProgramId, size_t> count;
  for (const auto& [peer, program_id] : found) ++count[program_id];
  size_t most = count[fallback] += classes_.size() - found.size();
  ProgramId common = fallback;
  for (const auto& [program_id, classes] : count) {
    if (classes <= most) continue;
    most = classes;
    common = program_id;
  }
  out.sets.push_back({id, plan.direction, common});
  for (const auto& [peer, program_id] : found)
    if (program_id != common) out.programs_of[Compiled::key(id, peer)] = program_id;
  if (common == fallback) return;
  auto next = found.begin();
  for (ClassId peer = 0; peer < classes_.size(); ++peer) {
    if (next != found.end() && next->first == peer)
      ++next;
    else
      out.programs_of[Compiled::key(id, peer)] = fallback;
  }
}

void SetCompiler::build(Compiled& out) {
  for (size_t i = 0; i < plans_.size(); ++i) build_set(plans_[i], static_cast<SetId>(i + 1), out);
}

}  // namespace sallyport::policy
