// For tests: compiled policy by hand, so that a test says exactly what the tables hold.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "policy/compiled.h"

namespace sallyport::gate {

inline Ip ip(std::string_view text) {
  return Ip::parse(text).value();
}
inline Cidr cidr(std::string_view text) {
  return Cidr::parse(text).value();
}

class CompiledBuilder {
 public:
  // An endpoint with these addresses; its peer class is its id.
  void endpoint(uint32_t id, const std::vector<Ip>& addresses, policy::SetId egress,
                policy::SetId ingress) {
    for (const auto& address : addresses)
      compiled_.endpoints.push_back({address, id, id, egress, ingress});
    std::sort(compiled_.endpoints.begin(), compiled_.endpoints.end(),
              [](const auto& a, const auto& b) { return a.address < b.address; });
  }
  void classed_cidr(std::string_view text, policy::ClassId peer) {
    compiled_.cidrs.push_back({cidr(text), peer});
  }
  // A set that denies everything by `rule`.
  policy::SetId deny_set(policy::Direction direction, policy::RuleId rule) {
    const auto id = static_cast<policy::SetId>(compiled_.sets.size() + 1);
    compiled_.sets.push_back({id, direction, add(uniform(policy::Action::kDeny, rule))});
    rules_.push_back(rule);
    return id;
  }
  // In this set, this class may use these ports of the protocol (6, 17, 132; else "other").
  void allow(policy::SetId set, policy::ClassId peer, uint8_t protocol, uint16_t first,
             uint16_t last, policy::RuleId rule) {
    const uint64_t key = policy::Compiled::key(set, peer);
    const auto known = compiled_.programs_of.find(key);
    policy::PortProgram program = known == compiled_.programs_of.end()
                                      ? uniform(policy::Action::kDeny, rules_[set - 1])
                                      : compiled_.programs[known->second];
    if (protocol == 6)
      open(program.tcp, first, last, rule);
    else if (protocol == 17)
      open(program.udp, first, last, rule);
    else if (protocol == 132)
      open(program.sctp, first, last, rule);
    else
      program.other = {0, policy::Action::kAllow, rule};
    compiled_.programs_of[key] = add(program);
  }
  // Everything from the class.
  void allow_all(policy::SetId set, policy::ClassId peer, policy::RuleId rule) {
    compiled_.programs_of[policy::Compiled::key(set, peer)] =
        add(uniform(policy::Action::kAllow, rule));
  }
  [[nodiscard]] const policy::Compiled& get() const { return compiled_; }

 private:
  static policy::PortProgram uniform(policy::Action action, policy::RuleId rule) {
    const policy::PortPiece piece{0, action, rule};
    return {{piece}, {piece}, {piece}, piece};
  }
  static void open(std::vector<policy::PortPiece>& pieces, uint16_t first, uint16_t last,
                   policy::RuleId rule) {
    std::vector<policy::PortPiece> out;
    policy::PortPiece after = pieces.front();
    for (const auto& piece : pieces) {
      if (piece.first_port < first) out.push_back(piece);
      if (last != 65535 && piece.first_port <= last + 1) after = piece;
    }
    out.push_back({first, policy::Action::kAllow, rule});
    if (last != 65535) out.push_back({static_cast<uint16_t>(last + 1), after.action, after.rule});
    for (const auto& piece : pieces)
      if (last != 65535 && piece.first_port > last + 1) out.push_back(piece);
    pieces = std::move(out);
  }
  policy::ProgramId add(const policy::PortProgram& program) {
    for (size_t i = 0; i < compiled_.programs.size(); ++i)
      if (compiled_.programs[i] == program) return static_cast<policy::ProgramId>(i);
    compiled_.programs.push_back(program);
    return static_cast<policy::ProgramId>(compiled_.programs.size() - 1);
  }

  policy::Compiled compiled_;
  std::vector<policy::RuleId> rules_;  // of the sets' denials
};

}  // namespace sallyport::gate
