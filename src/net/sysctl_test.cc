#include "net/sysctl.h"

#include <gtest/gtest.h>

#include "net/netns.h"

namespace sallyport::net {
namespace {

TEST(Sysctl, IsOfTheNamespaceGiven) {
  auto a = create_netns();
  auto b = create_netns();
  ASSERT_TRUE(a && b);
  ASSERT_TRUE(set_sysctls(a->get(), {{"ipv4/ip_forward", "1"}, {"ipv6/conf/all/forwarding", "1"}}));
  EXPECT_EQ(get_sysctl(a->get(), "ipv4/ip_forward").value(), "1");
  EXPECT_EQ(get_sysctl(a->get(), "ipv6/conf/all/forwarding").value(), "1");
  EXPECT_EQ(get_sysctl(b->get(), "ipv4/ip_forward").value(), "0");
  Status wrong = set_sysctls(a->get(), {{"ipv4/no_such_setting", "1"}});
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("no_such_setting"), std::string::npos);
  EXPECT_FALSE(set_sysctls(a->get(), {{"ipv4/ip_forward", "many"}}));
}

}  // namespace
}  // namespace sallyport::net
