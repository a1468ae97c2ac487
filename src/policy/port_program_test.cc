#include "policy/port_program.h"

#include <gtest/gtest.h>

#include <random>

namespace sallyport::policy {
namespace {

using enum k8s::Protocol;
using Pieces = std::vector<PortPiece>;

constexpr Action kYes = Action::kAllow;
constexpr Action kNo = Action::kDeny;

Step tail(Effect effect, RuleId rule) {
  return {effect, rule, true, {}};
}

TEST(PortProgram, PiecesStartAtZeroAndTheFirstStepDecides) {
  PortProgram program = build_program({{Effect::kAllow, 1, false, {{kTcp, 80, 90}}},
                                       {Effect::kAllow, 2, false, {{kTcp, 85, 95}, {kUdp, 53, 53}}},
                                       tail(Effect::kDeny, 9)},
                                      0);
  EXPECT_EQ(program.tcp, (Pieces{{0, kNo, 9}, {80, kYes, 1}, {91, kYes, 2}, {96, kNo, 9}}));
  EXPECT_EQ(program.udp, (Pieces{{0, kNo, 9}, {53, kYes, 2}, {54, kNo, 9}}));
  EXPECT_EQ(program.sctp, (Pieces{{0, kNo, 9}}));
  EXPECT_EQ(program.other, (PortPiece{0, kNo, 9}));
}

TEST(PortProgram, RangesAtBothEnds) {
  PortProgram program = build_program(
      {{Effect::kAllow, 1, false, {{kTcp, 0, 0}, {kTcp, 65535, 65535}}}, tail(Effect::kDeny, 9)},
      0);
  EXPECT_EQ(program.tcp, (Pieces{{0, kYes, 1}, {1, kNo, 9}, {65535, kYes, 1}}));
  program =
      build_program({{Effect::kAllow, 1, false, {{kTcp, 0, 65535}}}, tail(Effect::kDeny, 9)}, 0);
  EXPECT_EQ(program.tcp, (Pieces{{0, kYes, 1}}));
  EXPECT_EQ(program.other, (PortPiece{0, kNo, 9}));
}

TEST(PortProgram, NeighboursOfOneStepBecomeOnePiece) {
  PortProgram program =
      build_program({{Effect::kAllow, 1, false, {{kTcp, 81, 82}, {kTcp, 80, 80}, {kTcp, 80, 81}}},
                     tail(Effect::kDeny, 9)},
                    0);
  EXPECT_EQ(program.tcp, (Pieces{{0, kNo, 9}, {80, kYes, 1}, {83, kNo, 9}}));
}

TEST(PortProgram, APassOfAdminJumpsOverTheRestOfAdmin) {
  std::vector<Step> steps = {{Effect::kPass, 0, false, {{kTcp, 80, 81}}},
                             tail(Effect::kDeny, 2),
                             {Effect::kAllow, 3, false, {{kTcp, 80, 80}}},
                             tail(Effect::kDeny, 4)};
  PortProgram program = build_program(steps, 2);
  EXPECT_EQ(program.tcp, (Pieces{{0, kNo, 2}, {80, kYes, 3}, {81, kNo, 4}, {82, kNo, 2}}));
  EXPECT_EQ(program.other, (PortPiece{0, kNo, 2}));
}

TEST(PortProgram, AnEmptyRangeMatchesNothing) {
  PortProgram program =
      build_program({{Effect::kAllow, 1, false, {{kTcp, 90, 80}}}, tail(Effect::kDeny, 9)}, 0);
  EXPECT_EQ(program.tcp, (Pieces{{0, kNo, 9}}));
}

// Against asking the steps port by port.
TEST(PortProgram, EqualsTheFirstStepThatHasThePort) {
  std::mt19937 random(11);
  for (int round = 0; round < 200; ++round) {
    std::vector<Step> steps;
    size_t admin = random() % 4;
    for (RuleId id = 1; id <= admin + random() % 5; ++id) {
      Step step{random() % 2 ? Effect::kAllow : Effect::kDeny, id, random() % 8 == 0, {}};
      if (steps.size() < admin && random() % 3 == 0) step.effect = Effect::kPass;
      for (auto n = step.everything ? 0 : random() % 4; n > 0; --n) {
        auto first = static_cast<uint16_t>(random() % 20);
        step.ports.push_back({kTcp, first, static_cast<uint16_t>(first + random() % 10)});
      }
      steps.push_back(step);
    }
    admin = std::min(admin, steps.size());
    steps.push_back(tail(Effect::kDeny, 99));
    PortProgram program = build_program(steps, admin);
    for (uint16_t port = 0; port < 35; ++port) {
      auto has = [&](const Step& step) {
        if (step.everything) return true;
        for (const PortRange& range : step.ports)
          if (port >= range.first && port <= range.last) return true;
        return false;
      };
      size_t at = 0;
      while (!has(steps[at])) ++at;
      if (steps[at].effect == Effect::kPass)
        for (at = admin; !has(steps[at]);) ++at;
      const PortPiece* piece = nullptr;
      for (const PortPiece& candidate : program.tcp)
        if (candidate.first_port <= port) piece = &candidate;
      ASSERT_NE(piece, nullptr);
      ASSERT_EQ(piece->rule, steps[at].rule) << "round " << round << " port " << port;
      ASSERT_EQ(piece->action == kYes, steps[at].effect == Effect::kAllow);
    }
  }
}

}  // namespace
}  // namespace sallyport::policy
