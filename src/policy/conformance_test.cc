// The published conformance cases, against the evaluator and against the compiled tables.
#include <gtest/gtest.h>

#include <set>

#include "policy/conformance_cases.h"
#include "policy/test_support.h"

namespace sallyport::policy {
namespace {

using testing::ConformanceStep;
using testing::Expectation;
using testing::Mapping;

const std::string kData = SALLYPORT_SOURCE_DIR "/src/policy/testdata";

struct Count {
  size_t checked = 0, self = 0, invalid = 0, blocked = 0;
};

std::string words(bool allow) {
  return allow ? "allowed" : "blocked";
}

std::string describe(const ConformanceStep& step, const Expectation& row) {
  return "case " + std::to_string(step.index) + " (" + step.group + ": " + step.description +
         "): " + row.from + " -> " + row.to + " " + std::string(k8s::to_string(row.protocol)) +
         " " + std::to_string(row.port);
}

void check(const ConformanceStep& step, Family family, Count& count) {
  RuleRegistry rules;
  Compiled compiled = compile(step.world, rules);
  std::map<std::string, const world::Endpoint*> pods;
  for (const world::Endpoint& pod : step.world.endpoints) pods[pod.key()] = &pod;
  for (const Expectation& row : step.expected) {
    const world::Endpoint* from = pods.at(row.from);
    const world::Endpoint* to = pods.at(row.to);
    if (row.combined == "invalid") {
      ++count.invalid;
      continue;
    }
    Verdict evaluated = evaluate(step.world, {from, to, {}, {}, row.protocol, row.port, family});
    Verdict tables = testing::compiled_verdict(compiled, rules, from->ips[0], to->ips[0],
                                               row.protocol, row.port);
    if (row.combined == "undefined") {
      ++count.self;
      EXPECT_EQ(row.from, row.to);
      EXPECT_TRUE(evaluated.allow && tables.allow) << describe(step, row);
      EXPECT_EQ(evaluated.ingress.reason, Reason::kSelf);
      continue;
    }
    ++count.checked;
    count.blocked += row.combined == "blocked" ? 1 : 0;
    for (const Verdict* verdict : {&evaluated, &tables}) {
      if (words(verdict->egress.allow) == row.egress &&
          words(verdict->ingress.allow) == row.ingress && words(verdict->allow) == row.combined)
        continue;
      ADD_FAILURE() << describe(step, row) << ": expected " << row.egress << "/" << row.ingress
                    << "/" << row.combined << ", got " << words(verdict->egress.allow) << "/"
                    << words(verdict->ingress.allow) << "/" << words(verdict->allow) << " from the "
                    << (verdict == &evaluated ? "evaluator" : "compiled tables");
    }
  }
}

void check_cases(Mapping mapping, Family family) {
  auto steps = testing::conformance_cases(kData, mapping);
  ASSERT_TRUE(steps) << steps.error().message;
  Count count;
  std::set<int> cases;
  for (const ConformanceStep& step : *steps) {
    cases.insert(step.index);
    check(step, family, count);
    if (::testing::Test::HasFailure()) break;
  }
  EXPECT_EQ(cases.size(), 230U);
  EXPECT_EQ(steps->size(), 256U);
  EXPECT_EQ(count.checked, 123669U - 13713U);
  EXPECT_EQ(count.self, 13713U);
  EXPECT_EQ(count.blocked, 20854U);
}

TEST(Conformance, CasesAsWritten) {
  check_cases(Mapping::kAsWritten, Family::kV4);
}
TEST(Conformance, CasesInOurIpv4Range) {
  check_cases(Mapping::kOurV4, Family::kV4);
}
TEST(Conformance, CasesMappedToIpv6) {
  check_cases(Mapping::kOurV6, Family::kV6);
}

TEST(Conformance, Recipes) {
  for (auto [mapping, family] :
       {std::pair(Mapping::kAsWritten, Family::kV4), std::pair(Mapping::kOurV6, Family::kV6)}) {
    auto steps = testing::conformance_recipes(kData, mapping);
    ASSERT_TRUE(steps) << steps.error().message;
    Count count;
    for (const ConformanceStep& step : *steps) check(step, family, count);
    EXPECT_EQ(steps->size(), 15U);
    EXPECT_EQ(count.checked + count.self + count.invalid, 1234U);
    EXPECT_EQ(count.invalid, 81U);
    EXPECT_EQ(count.self, 127U);
  }
}

// The two maps of addresses are one to one, and blocks keep what they hold.
TEST(Conformance, MappingKeepsMembership) {
  std::vector<Ip> addresses;
  for (const char* text : {"10.244.1.11", "10.244.3.33", "10.244.3.34", "10.244.3.50"})
    addresses.push_back(testing::ip(text));
  for (const char* text : {"10.244.3.0/24", "10.244.3.32/28", "0.0.0.0/0", "0.0.0.0/31"}) {
    Cidr block = testing::cidr(text);
    for (const Ip& ip : addresses)
      for (Mapping mapping : {Mapping::kOurV4, Mapping::kOurV6})
        EXPECT_EQ(testing::map_cidr(block, mapping).contains(testing::map_ip(ip, mapping)),
                  block.contains(ip))
            << text << " " << ip.to_string();
  }
  EXPECT_EQ(testing::map_ip(addresses[0], Mapping::kOurV4).to_string(), "198.18.1.11");
  EXPECT_EQ(testing::map_ip(addresses[0], Mapping::kOurV6).to_string(), "fd00::af4:10b");
}

}  // namespace
}  // namespace sallyport::policy
