#include "net/nft.h"

#include <gtest/gtest.h>

#include "net/netns.h"

namespace sallyport::net {
namespace {

TEST(Nft, AScriptIsAllOrNothing) {
  auto netns = create_netns();
  ASSERT_TRUE(netns);
  Status good = apply_nft(netns->get(), "table ip t {\n chain a {\n accept\n }\n}\n");
  ASSERT_TRUE(good) << good.error().message;
  // The first half would pass; the second names a chain that does not exist.
  Status bad = apply_nft(netns->get(),
                         "table ip t {\n chain b {\n drop\n }\n}\nadd rule ip t missing accept\n");
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("missing"), std::string::npos) << bad.error().message;
  auto listed = query_nft(netns->get(), "list table ip t");
  ASSERT_TRUE(listed);
  EXPECT_NE(listed->find("chain a"), std::string::npos);
  EXPECT_EQ(listed->find("chain b"), std::string::npos);
}

TEST(Nft, NamespacesAreApart) {
  auto one = create_netns();
  auto other = create_netns();
  ASSERT_TRUE(one && other);
  ASSERT_TRUE(apply_nft(one->get(), "add table ip6 only_here\n"));
  EXPECT_TRUE(query_nft(one->get(), "list table ip6 only_here"));
  auto missing = query_nft(other->get(), "list table ip6 only_here");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  auto nonsense = query_nft(other->get(), "no such command");
  ASSERT_FALSE(nonsense);
  EXPECT_EQ(nonsense.error().code, Code::kInternal);
}

}  // namespace
}  // namespace sallyport::net
