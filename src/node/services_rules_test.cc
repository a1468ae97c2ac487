#include "node/services_rules.h"

#include <gtest/gtest.h>

#include "net/netns.h"
#include "net/nft.h"
#include "world/test_world.h"

namespace sallyport::node {
namespace {

using world::ip_of;
using world::make_pod;
using world::make_service;

class ServicesRulesTest : public ::testing::Test {
 protected:
  ServiceRules render() {
    world_.finish();
    return render_services(world_, default_ranges());
  }
  static bool has(const ServiceRules& rules, const std::string& text) {
    return rules.text.find(text) != std::string::npos;
  }
  world::World world_;
};

TEST_F(ServicesRulesTest, AnEmptyWorldRefusesTheWholeRange) {
  ServiceRules rules = render();
  EXPECT_TRUE(has(rules, "table ip sallyport {"));
  EXPECT_TRUE(has(rules, "table ip6 sallyport {"));
  EXPECT_TRUE(has(rules, "ip daddr 198.19.0.0/17 fib saddr . iif oif exists goto refuse"));
  EXPECT_TRUE(has(rules, "ip6 daddr fd00:5a11:0:1::/112 fib saddr . iif oif exists goto refuse"));
  EXPECT_FALSE(has(rules, "elements"));
  EXPECT_FALSE(has(rules, "dnat to"));
  EXPECT_TRUE(rules.translations.empty());
  EXPECT_TRUE(rules.v4.chains.empty() && rules.v6.chains.empty());
}

TEST_F(ServicesRulesTest, OneEndpointIsTranslatedDirectly) {
  world_.endpoints = {make_pod("shop", "a", "198.18.0.1", "fd00:5a11::1")};
  world_.services = {make_service("shop", "web")};
  ServiceRules rules = render();
  EXPECT_TRUE(has(rules, "198.19.1.1 . tcp . 80 : goto svc-")) << rules.text;
  EXPECT_TRUE(has(rules, "fd00:5a11:0:1::101 . tcp . 80 : goto svc-"));
  EXPECT_TRUE(has(rules, "meta l4proto tcp dnat to 198.18.0.1:8080 comment \"shop/web:80/tcp\""));
  EXPECT_TRUE(has(rules, "meta l4proto tcp dnat to [fd00:5a11::1]:8080"));
  EXPECT_TRUE(has(rules, "198.18.0.1 . 198.18.0.1"));
  EXPECT_TRUE(has(rules, "@hairpin snat to 198.19.255.1"));
  EXPECT_TRUE(has(rules, "@hairpin snat to fd00:5a11:0:3::1"));
  std::set<Translation> expected{{ip_of("198.19.1.1"), 80, 6, ip_of("198.18.0.1"), 8080},
                                 {ip_of("fd00:5a11:0:1::101"), 80, 6, ip_of("fd00:5a11::1"), 8080}};
  EXPECT_EQ(rules.translations, expected);
}

TEST_F(ServicesRulesTest, SeveralEndpointsAreChosenAtRandom) {
  world_.endpoints = {make_pod("shop", "a", "198.18.0.2", ""),
                      make_pod("shop", "b", "198.18.0.1", ""),
                      make_pod("shop", "c", "198.18.0.3", "")};
  world_.services = {make_service("shop", "web")};
  EXPECT_TRUE(has(render(),
                  "dnat to numgen random mod 3 map { 0 : 198.18.0.1 . 8080, 1 : 198.18.0.2 . "
                  "8080, 2 : 198.18.0.3 . 8080 }"));
}

TEST_F(ServicesRulesTest, HeadlessAndEndpointlessServicesHaveNoEntry) {
  auto headless = make_service("shop", "headless");
  headless->headless = true;
  auto lonely = make_service("shop", "lonely");
  lonely->selector = {{"app", "none"}};
  auto unselecting = make_service("shop", "unselecting");
  unselecting->selector = {};
  world_.endpoints = {make_pod("shop", "a", "198.18.0.1", "fd00:5a11::1")};
  world_.services = {headless, lonely, unselecting};
  EXPECT_FALSE(has(render(), "goto svc-"));
}

TEST_F(ServicesRulesTest, AddressesOutsideTheRangeAreNotTranslated) {
  world_.endpoints = {make_pod("shop", "a", "198.18.0.1", "")};
  auto service = make_service("shop", "web");
  service->cluster_ips = {ip_of("198.19.200.1")};
  world_.services = {service};
  EXPECT_FALSE(has(render(), "goto svc-")) << "the outside world cannot be taken over";
}

TEST_F(ServicesRulesTest, ProtocolsAreApart) {
  world_.endpoints = {make_pod("shop", "a", "198.18.0.1", "")};
  auto service = make_service("shop", "web");
  service->ports = {{"t", k8s::Protocol::kTcp, 53, {5353, ""}, ""},
                    {"u", k8s::Protocol::kUdp, 53, {5354, ""}, ""},
                    {"s", k8s::Protocol::kSctp, 53, {5355, ""}, ""}};
  world_.services = {service};
  ServiceRules rules = render();
  for (const char* text :
       {"198.19.1.1 . tcp . 53", "198.19.1.1 . udp . 53", "198.19.1.1 . sctp . 53",
        "meta l4proto tcp dnat to 198.18.0.1:5353", "meta l4proto udp dnat to 198.18.0.1:5354",
        "meta l4proto sctp dnat to 198.18.0.1:5355"})
    EXPECT_TRUE(has(rules, text)) << text << "\n" << rules.text;
  EXPECT_EQ(rules.v4.chains.size(), 3u);
}

TEST_F(ServicesRulesTest, TheFirstOfTwoEqualPortsWins) {
  world_.endpoints = {make_pod("shop", "a", "198.18.0.1", "")};
  auto service = make_service("shop", "web");
  service->ports = {{"a", k8s::Protocol::kTcp, 80, {8080, ""}, ""},
                    {"b", k8s::Protocol::kTcp, 80, {9090, ""}, ""}};
  world_.services = {service};
  ServiceRules rules = render();
  EXPECT_TRUE(has(rules, "dnat to 198.18.0.1:8080"));
  EXPECT_FALSE(has(rules, "9090"));
  EXPECT_EQ(rules.translations.size(), 1u);
}

TEST_F(ServicesRulesTest, TheTextFollowsTheWorldAlone) {
  world_.endpoints = {make_pod("shop", "a", "198.18.0.1", ""),
                      make_pod("shop", "b", "198.18.0.2", "")};
  world_.services = {make_service("shop", "web")};
  std::string first = render().text;
  std::swap(world_.endpoints[0], world_.endpoints[1]);
  world_.revision = 99;
  EXPECT_EQ(render().text, first);
  world_.endpoints[0].ready = false;
  EXPECT_NE(render().text, first);
}

// Names come from manifests; none may end a comment and begin a rule.
TEST_F(ServicesRulesTest, NamesCannotEscape) {
  world_.endpoints = {make_pod("shop", "a", "198.18.0.1", "")};
  auto service = make_service("shop", "x\"\n  accept\n}\n" + std::string(300, 'y'));
  world_.services = {service};
  ServiceRules rules = render();
  EXPECT_FALSE(has(rules, "\n  accept"));
  auto netns = net::create_netns();
  ASSERT_TRUE(netns);
  Status applied = net::apply_nft(netns->get(), replacement(rules, {}));
  EXPECT_TRUE(applied) << applied.error().message;
}

// Every shape at once, as the kernel takes it, and what it says it holds.
TEST_F(ServicesRulesTest, TheKernelTakesEveryReplacement) {
  auto netns = net::create_netns();
  ASSERT_TRUE(netns);
  InstalledTables installed;
  auto apply = [&](const ServiceRules& rules) {
    Status applied = net::apply_nft(netns->get(), replacement(rules, installed));
    ASSERT_TRUE(applied) << applied.error().message << "\n" << replacement(rules, installed);
    installed = {true, true, rules.v4, rules.v6};
    for (const char* family : {"ip", "ip6"}) {
      auto listing =
          net::query_nft(netns->get(), std::string("list table ") + family + " sallyport");
      ASSERT_TRUE(listing);
      TableObjects found = read_table(*listing);
      const TableObjects& wanted = std::string(family) == "ip" ? rules.v4 : rules.v6;
      EXPECT_EQ(found.chains, wanted.chains) << *listing;
      EXPECT_EQ(found.affinity_sets, wanted.affinity_sets);
    }
  };
  apply(render());
  for (int i = 1; i <= 9; ++i)
    world_.endpoints.push_back(make_pod("shop", "p" + std::to_string(i),
                                        ("198.18.0." + std::to_string(i)).c_str(),
                                        ("fd00:5a11::" + std::to_string(i)).c_str()));
  auto plain = make_service("shop", "plain"), affine = make_service("shop", "affine");
  affine->cluster_ips = {ip_of("198.19.1.2"), ip_of("fd00:5a11:0:1::102")};
  affine->session_affinity = true;
  affine->ports.push_back({"u", k8s::Protocol::kUdp, 53, {53, ""}, ""});
  world_.services = {plain, affine};
  ServiceRules full = render();
  EXPECT_EQ(full.v4.affinity_sets.size(), 18u);
  EXPECT_EQ(full.v4.chains.size(), 3u + 18u);
  apply(full);
  apply(full);
  world_.endpoints[3].ready = false;
  apply(render());
  affine->session_affinity_seconds = 86400;
  apply(render());
  affine->session_affinity = false;
  apply(render());
  plain->session_affinity = true;
  apply(render());
  world_.services.clear();
  apply(render());
}

TEST_F(ServicesRulesTest, AffinitySetsThatStayAreNotTouched) {
  world_.endpoints = {make_pod("shop", "a", "198.18.0.1", ""),
                      make_pod("shop", "b", "198.18.0.2", "")};
  auto service = make_service("shop", "web");
  service->session_affinity = true;
  world_.services = {service};
  ServiceRules before = render();
  world_.endpoints[0].ready = false;
  ServiceRules after = render();
  ASSERT_EQ(after.v4.affinity_sets.size(), 1u);
  std::string script = replacement(after, {true, true, before.v4, before.v6});
  std::string kept = *after.v4.affinity_sets.begin();
  EXPECT_EQ(script.find("delete set ip sallyport " + kept), std::string::npos);
  for (const std::string& set : before.v4.affinity_sets)
    if (set != kept) {
      EXPECT_NE(script.find("delete set ip sallyport " + set), std::string::npos);
    }
}

TEST(ReadTable, FindsOurObjectsOnly) {
  TableObjects found = read_table(
      "table ip sallyport {\n\tmap services {\n\t}\n\tset hairpin {\n\t}\n\tset aff-0123 {\n\t}\n"
      "\tchain svc-1 {\n\t}\n\tchain ep-2 {\n\t}\n\tchain forward {\n\t}\n}\n");
  EXPECT_EQ(found.chains, (std::set<std::string>{"ep-2", "svc-1"}));
  EXPECT_EQ(found.affinity_sets, (std::set<std::string>{"aff-0123"}));
  EXPECT_TRUE(read_table("").chains.empty());
}

}  // namespace
}  // namespace sallyport::node
