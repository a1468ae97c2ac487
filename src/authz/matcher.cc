#include "authz/matcher.h"

#include <algorithm>
#include <array>
#include <vector>

#include "authz/compiled_rule.h"
#include "authz/evaluator.h"
#include "authz/rule_index.h"

namespace sallyport::authz {
namespace {

using k8s::AuthorizationAction;

constexpr uint32_t kNone = UINT32_MAX;

// What a rule is for. Policies in dry-run have classes of their own.
enum Class : uint8_t { kAudit, kDeny, kAllow, kDryDeny, kDryAllow, kClasses };

struct Rule {
  std::shared_ptr<const CompiledRule> compiled;
  Class of = kAllow;
  uint32_t policy = 0;
  int number = 0;
};

using Firsts = std::array<uint32_t, kClasses>;

// The rules as they stand for HTTP, or for opaque TCP.
struct Program {
  std::vector<Rule> rules;  // in the order in which they are credited
  RuleIndex index;

  // The first rule of each class that matches.
  [[nodiscard]] Firsts ask(const Subject& subject) const {
    Firsts first;
    first.fill(kNone);
    index.candidates(subject, [&](std::span<const uint32_t> ids) {
      for (uint32_t id : ids) {
        const Rule& rule = rules[id];
        if (id < first[rule.of] && rule.compiled->matches(subject)) first[rule.of] = id;
      }
    });
    return first;
  }
};

struct Policy {
  std::string ns, name;
  int broken = -1;  // the rule that cannot be enforced, where one is at fault
};

// The first policy of a kind, among those in force and among all.
struct First {
  uint32_t live = kNone;
  uint32_t all = kNone;
  void take(uint32_t policy, bool dry_run) {
    if (all == kNone) all = policy;
    if (live == kNone && !dry_run) live = policy;
  }
};

class CompiledMatcher : public Matcher {
 public:
  std::vector<Policy> policies;
  std::unique_ptr<const Program> http, tcp;
  First broken, allow;
  bool has_dry_run = false;
  bool reads = false;

  [[nodiscard]] Decision decide(const ConnectionFacts& connection,
                                const RequestFacts* request) const override {
    const Program& program = request != nullptr ? *http : *tcp;
    const Firsts first = program.ask(Subject(connection, request));
    Decision out = judge(program, broken.live, first[kDeny], allow.live, first[kAllow]);
    if (first[kAudit] != kNone) {
      const Rule& rule = program.rules[first[kAudit]];
      out.audited = true;
      out.audit_policy = name(rule.policy);
      out.audit_rule = rule.number;
    }
    if (!has_dry_run) return out;
    const Decision would = judge(program, broken.all, std::min(first[kDeny], first[kDryDeny]),
                                 allow.all, std::min(first[kAllow], first[kDryAllow]));
    out.dry_run_deny = !would.allow;
    out.dry_run_policy = would.policy;
    return out;
  }

  [[nodiscard]] bool reads_requests() const override { return reads; }

 private:
  [[nodiscard]] PolicyName name(uint32_t policy) const {
    return {policies[policy].ns, policies[policy].name};
  }

  [[nodiscard]] Decision judge(const Program& program, uint32_t bad, uint32_t deny,
                               uint32_t allow_policy, uint32_t allow_rule) const {
    Decision out;
    auto say = [&](bool verdict, Reason reason, uint32_t policy, int rule) {
      out.allow = verdict;
      out.reason = reason;
      out.policy = name(policy);
      out.rule = rule;
      return out;
    };
    auto credit = [&](bool verdict, Reason reason, const Rule& rule) {
      return say(verdict, reason, rule.policy, rule.number);
    };
    if (bad != kNone) return say(false, Reason::kUnenforceable, bad, policies[bad].broken);
    if (deny != kNone) return credit(false, Reason::kRuleDenies, program.rules[deny]);
    if (allow_policy == kNone) return out;
    if (allow_rule != kNone) return credit(true, Reason::kRuleAllows, program.rules[allow_rule]);
    return say(false, Reason::kNoAllowMatches, allow_policy, -1);
  }
};

Class class_of(const k8s::AuthorizationPolicy& policy) {
  if (policy.action == AuthorizationAction::kAudit) return kAudit;
  if (policy.action == AuthorizationAction::kDeny) return policy.dry_run ? kDryDeny : kDeny;
  return policy.dry_run ? kDryAllow : kAllow;
}

bool any_reads(const RuleClauses& rule) {
  auto reads = [](const Clauses& clauses) {
    return std::any_of(clauses.begin(), clauses.end(),
                       [](const Clause& clause) { return reads_request(clause.field); });
  };
  return std::any_of(rule.from.begin(), rule.from.end(), reads) ||
         std::any_of(rule.to.begin(), rule.to.end(), reads) || reads(rule.when);
}

size_t clause_count(const RuleClauses& rule) {
  size_t out = rule.when.size();
  for (const Clauses& clauses : rule.from) out += clauses.size();
  for (const Clauses& clauses : rule.to) out += clauses.size();
  return out;
}

// Collects the rules of one program, with the clauses that its index is made from.
struct Draft {
  std::vector<Rule> rules;
  std::vector<std::unique_ptr<const RuleClauses>> clauses;
  std::vector<const ValueContext*> contexts;

  void add(Rule rule, RuleClauses parts, const ValueContext& context) {
    rules.push_back(std::move(rule));
    clauses.push_back(std::make_unique<const RuleClauses>(std::move(parts)));
    contexts.push_back(&context);
  }
  Program finish() {
    std::vector<RuleIndex::Entry> entries;
    for (size_t i = 0; i < rules.size(); ++i) entries.push_back({clauses[i].get(), contexts[i]});
    RuleIndex index(entries);
    return {std::move(rules), std::move(index)};
  }
};

class Compiler {
 public:
  Compiler(const world::World& world, const world::Endpoint& workload)
      : world_(world), sources_(policies_of(world, workload)) {}

  std::shared_ptr<const CompiledMatcher> run() {
    // Contexts are pointed to until the end: no reallocation.
    contexts_.reserve(sources_.size());
    for (const auto* policy : sources_)
      if (!(policy->dry_run && policy->action == AuthorizationAction::kAudit)) add(*policy);
    out_->http = std::make_unique<const Program>(http_.finish());
    out_->tcp = std::make_unique<const Program>(tcp_.finish());
    return out_;
  }

 private:
  void add(const k8s::AuthorizationPolicy& policy) {
    const auto number = static_cast<uint32_t>(out_->policies.size());
    Policy& entry = out_->policies.emplace_back();
    entry.ns = policy.meta.ns;
    entry.name = policy.meta.name;
    out_->has_dry_run = out_->has_dry_run || policy.dry_run;
    if (policy.action == AuthorizationAction::kAllow) out_->allow.take(number, policy.dry_run);
    if (const auto bad = unenforceable(policy)) {
      entry.broken = bad->rule;
      out_->broken.take(number, policy.dry_run);
      return;
    }
    contexts_.push_back({world_.mesh.trust_domain,
                         world_.mesh.path_normalization == k8s::PathNormalization::kNone,
                         policy.meta.ns});
    for (size_t i = 0; i < policy.rules.size(); ++i) add_rule(policy, number, i);
  }

  void add_rule(const k8s::AuthorizationPolicy& policy, uint32_t number, size_t i) {
    const bool restricts = policy.action != AuthorizationAction::kAllow;
    const ValueContext& context = contexts_.back();
    RuleClauses clauses = clauses_of(policy.rules[i]).value();
    Rule rule{std::make_shared<const CompiledRule>(clauses, restricts, context), class_of(policy),
              number, static_cast<int>(i)};
    out_->reads = out_->reads || any_reads(clauses);
    if (auto bare = without_http(clauses, policy.action)) {
      Rule other = rule;
      if (clause_count(*bare) != clause_count(clauses))
        other.compiled = std::make_shared<const CompiledRule>(*bare, restricts, context);
      tcp_.add(std::move(other), std::move(*bare), context);
    }
    http_.add(std::move(rule), std::move(clauses), context);
  }

  const world::World& world_;
  std::vector<const k8s::AuthorizationPolicy*> sources_;
  std::shared_ptr<CompiledMatcher> out_ = std::make_shared<CompiledMatcher>();
  std::vector<ValueContext> contexts_;
  Draft http_, tcp_;
};

}  // namespace

MatcherPtr compile(const world::World& world, const world::Endpoint& workload) {
  return Compiler(world, workload).run();
}

}  // namespace sallyport::authz
