#include "cli/args.h"

#include <gtest/gtest.h>

namespace sallyport::cli {
namespace {

CommandSpec spec() {
  CommandSpec s;
  s.name = "try";
  s.usage = "try WORD";
  s.options = {{"--name", 'n', "NAME", "a name"}, {"--all", 'A', "", "everything"}};
  s.min_args = 1;
  s.max_args = 2;
  return s;
}

TEST(Args, OptionsStandAnywhereBeforeTheDashes) {
  auto args = Args::parse(spec(), {"one", "--name=x", "-A", "two", "--", "-n", "--name"});
  ASSERT_TRUE(args);
  EXPECT_EQ(args->words(), (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(args->get("--name"), "x");
  EXPECT_TRUE(args->has("--all"));
  EXPECT_EQ(args->rest(), (std::vector<std::string>{"-n", "--name"}));
  EXPECT_EQ(Args::parse(spec(), {"w", "-n", "a", "--name", "b"})->all("--name").size(), 2U);
}

TEST(Args, SaysWhatIsWrong) {
  for (const auto& [words, part] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{}, "too few"},
           {{"a", "b", "c"}, "too many arguments: \"c\""},
           {{"a", "--nam", "x"}, "unknown option --nam"},
           {{"a", "-n"}, "needs a value"},
           {{"a", "--all=1"}, "takes no value"}}) {
    auto args = Args::parse(spec(), words);
    ASSERT_FALSE(args);
    EXPECT_NE(args.error().message.find(part), std::string::npos) << args.error().message;
    EXPECT_NE(args.error().message.find("usage: sallyport try"), std::string::npos);
  }
}

TEST(Args, Durations) {
  EXPECT_EQ(parse_duration("90"), 90);
  EXPECT_EQ(parse_duration("5m"), 300);
  EXPECT_EQ(parse_duration("2h"), 7200);
  for (const char* bad : {"", "m", "-1s", "1d", "99999999999999h"})
    EXPECT_FALSE(parse_duration(bad));
}

}  // namespace
}  // namespace sallyport::cli
