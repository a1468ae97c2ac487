#include "node/link_reaper.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "net/netns.h"
#include "node/topology.h"

namespace sallyport::node {
namespace {

size_t links_in(int netns) {
  return net::Netlink::open(netns)->links()->size();
}

TEST(LinkReaper, DeletesDoomedLinksAndNoOthers) {
  auto netns = net::create_netns();
  auto pod = net::create_netns();
  ASSERT_TRUE(netns && pod);
  auto links = net::Netlink::open(netns->get());
  auto add = [&](const char* name, uint32_t group) {
    ASSERT_TRUE(links->add_veth(name, name, pod->get(), {.group = group}));
  };
  add("left", kDoomedLinkGroup);
  add("alive", kPodLinkGroup);
  {
    LinkReaper reaper(net::Netlink::open(netns->get()).value());
    for (int i = 0; i < 500 && links_in(netns->get()) > 2; ++i) ::usleep(10'000);
    EXPECT_EQ(links_in(netns->get()), 2u) << "what an earlier process left";
    add("a", kDoomedLinkGroup);
    add("b", kDoomedLinkGroup);
    reaper.wake();
  }
  EXPECT_EQ(links_in(netns->get()), 2u) << "its end is not before what is due is done";
  EXPECT_TRUE(links->ifindex("alive"));
}

}  // namespace
}  // namespace sallyport::node
