#include "analysis/explain_point.h"

#include <gtest/gtest.h>

#include "policy/test_support.h"

namespace sallyport::analysis {
namespace {

using namespace policy::testing;  // NOLINT: short words for worlds

k8s::Service service(const std::string& name, k8s::Labels selector,
                     std::vector<k8s::ServicePort> ports) {
  k8s::Service out;
  out.meta.ns = "shop";
  out.meta.name = name;
  out.selector = std::move(selector);
  out.ports = std::move(ports);
  return out;
}

world::World shop() {
  world::World world;
  using enum k8s::Protocol;
  world.endpoints = {
      pod("default/client", {{"app", "client"}}, {"198.18.0.9", "fd00::9"}),
      pod("shop/web-1", {{"app", "web"}}, {"198.18.0.1", "fd00::1"}, {{"http", 8080, kTcp}}),
      pod("shop/web-2", {{"app", "web"}, {"shut", "yes"}}, {"198.18.0.2", "fd00::2"},
          {{"http", 9090, kTcp}}),
      pod("shop/web-3", {{"app", "web"}}, {"198.18.0.3", "fd00::3"}, {{"http", 8080, kTcp}}),
      pod("shop/dns", {{"app", "dns"}}, {"198.18.0.4", "fd00::4"},
          {{"dns", 53, kUdp}, {"dns-tcp", 53, kTcp}}),
      pod("shop/plain", {}, {"198.18.0.5", "fd00::5"}),
      pod("shop/six", {}, {"fd00::6"}, {{"", 80, kTcp}})};
  for (world::Endpoint& endpoint : world.endpoints) endpoint.ready = endpoint.name != "web-3";
  add(world, network_policy("shop", "shut", labelled({{"shut", "yes"}}),
                            std::vector<k8s::NetworkPolicyRule>{}));
  add(world, network_policy("shop", "only-v4", labelled({{"app", "dns"}}),
                            std::vector{rule({block("0.0.0.0/0")})}));
  auto put = [&](k8s::Service s) {
    world.services.push_back(std::make_shared<k8s::Service>(std::move(s)));
  };
  put(service("web", {{"app", "web"}}, {{"http", kTcp, 80, {0, "http"}, ""}}));
  put(service("empty", {{"app", "gone"}}, {{"", kTcp, 80, {80, ""}, ""}}));
  put(service("external", {}, {{"", kTcp, 80, {80, ""}, ""}}));
  put(service("dns", {{"app", "dns"}},
              {{"dns", kUdp, 53, {53, ""}, ""}, {"dns-tcp", kTcp, 53, {53, ""}, ""}}));
  world.finish();
  return world;
}

std::string ask(std::string_view from, std::string_view to, std::optional<Family> family = {}) {
  auto answer = explain_point(shop(), from, to, family);
  return answer ? answer->text : "error: " + answer.error().message;
}

TEST(ExplainPoint, APodWithItsOnlyPort) {
  EXPECT_EQ(ask("client", "shop/web-1"),
            "ALLOW  pod default/client (198.18.0.9) -> pod shop/web-1 (198.18.0.1) TCP port 8080\n"
            "  egress:  allowed by default: no policy isolates the pod for egress\n"
            "  ingress: allowed by default: no policy isolates the pod for ingress\n");
}

TEST(ExplainPoint, ADeniedPod) {
  EXPECT_EQ(ask("client", "shop/web-2:http"),
            "DENY   pod default/client (198.18.0.9) -> pod shop/web-2 (198.18.0.2) TCP port 9090\n"
            "  egress:  allowed by default: no policy isolates the pod for egress\n"
            "  ingress: denied by default\n"
            "    isolated by shop/shut\n"
            "    nearest     none: they have no ingress rules\n");
}

TEST(ExplainPoint, AServiceIsItsReadyPodsAtTheirTargetPorts) {
  world::World world = shop();
  auto answer = explain_point(world, "client", "svc/shop/web");
  ASSERT_TRUE(answer) << answer.error().message;
  ASSERT_EQ(answer->cases.size(), 2U);
  EXPECT_EQ(answer->cases[0].query.port, 8080);
  EXPECT_EQ(answer->cases[1].query.port, 9090);
  EXPECT_TRUE(answer->cases[0].verdict.allow);
  EXPECT_FALSE(answer->cases[1].verdict.allow);
  EXPECT_FALSE(answer->allow);
  EXPECT_EQ(answer->text.rfind("Service shop/web: 1 of 2 ready pods can be reached\nALLOW", 0), 0U)
      << answer->text;
}

TEST(ExplainPoint, AServicesFirstPortAndTheOneThatIsNamed) {
  world::World world = shop();
  EXPECT_EQ(explain_point(world, "client", "svc/shop/dns")->cases[0].query.protocol,
            k8s::Protocol::kUdp);
  EXPECT_EQ(explain_point(world, "client", "svc/shop/dns:53/TCP")->cases[0].query.protocol,
            k8s::Protocol::kTcp);
  EXPECT_EQ(explain_point(world, "client", "svc/shop/dns:dns-tcp")->cases[0].query.protocol,
            k8s::Protocol::kTcp);
}

TEST(ExplainPoint, AddressesInsideAndOutside) {
  world::World world = shop();
  auto inside = explain_point(world, "198.18.0.9", "198.18.0.1:http");
  ASSERT_TRUE(inside) << inside.error().message;
  EXPECT_EQ(inside->cases[0].query.port, 8080);
  auto icmp = explain_point(world, "fd00::9", "shop/plain/ICMP");
  ASSERT_TRUE(icmp) << icmp.error().message;
  EXPECT_EQ(icmp->cases[0].query.family, Family::kV6);
  EXPECT_EQ(ask("client", "198.19.200.1:443/UDP"),
            "ALLOW  pod default/client (198.18.0.9) -> 198.19.200.1 UDP port 443\n"
            "  egress:  allowed by default: no policy isolates the pod for egress\n"
            "  ingress: not judged: the destination is no pod\n");
}

TEST(ExplainPoint, TheOtherFamilyIsMentionedWhereItDiffers) {
  std::string text = ask("client", "shop/dns:53/UDP");
  EXPECT_EQ(text.rfind("ALLOW", 0), 0U) << text;
  EXPECT_NE(text.find("Over IPv6 the answer is another:\nDENY"), std::string::npos) << text;
  EXPECT_NE(text.find("peer address: wants 0.0.0.0/0, has fd00::9"), std::string::npos) << text;
  text = ask("client", "shop/dns:53/UDP", Family::kV6);
  EXPECT_EQ(text.rfind("DENY", 0), 0U) << text;
  EXPECT_EQ(text.find("Over IPv4"), std::string::npos) << text;
  EXPECT_EQ(explain_point(shop(), "client", "shop/six")->cases[0].query.family, Family::kV6);
}

TEST(ExplainPoint, ErrorsSayWhatToWrite) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"client", "shop/plain",
       "error: which port of pod shop/plain? Write shop/plain:PORT (its containers declare none)"},
      {"client", "shop/dns",
       "error: which port of pod shop/dns? Write shop/dns:PORT (its containers declare 53/UDP, "
       "53/TCP)"},
      {"client", "shop/web",
       "error: there is no pod shop/web; did you mean shop/web-1 or shop/web-2 or shop/web-3?"},
      {"client", "web-1:80", "error: there is no pod default/web-1; did you mean shop/web-1?"},
      {"client", "shop/web-1:nope", "error: pod shop/web-1 has no port named nope"},
      {"client", "svc/web", "error: there is no Service default/web; did you mean svc/shop/web?"},
      {"client", "svc/shop/web:81",
       "error: Service shop/web does not offer this port; it offers 80/TCP"},
      {"client", "svc/shop/empty",
       "error: Service shop/empty refuses connections: no pod has its labels. Ask about a pod "
       "instead"},
      {"client", "svc/shop/external", "error: Service shop/external selects no pods"},
      {"client", "svc/shop/web/ICMP",
       "error: a Service is for TCP, UDP and SCTP; ask about its pods"},
      {"svc/shop/web", "shop/web-1",
       "error: a Service opens no connections; name one of its pods as FROM"},
      {"client", "198.19.200.1", "error: which port? Write 198.19.200.1:PORT"},
      {"client", "fd00::99", "error: which port? Write [fd00::99]:PORT"},
      {"client", "198.19.200.1:http", "error: 198.19.200.1 is no pod and has no named ports"},
      {"198.18.0.1", "fd00::1", "error: the two addresses are of different families"},
  };
  for (const auto& [from, to, expected] : cases) EXPECT_EQ(ask(from, to), expected);
  EXPECT_EQ(ask("198.18.0.9", "shop/web-1", Family::kV6),
            "error: the address that is given is of the other family");
}

TEST(ExplainPoint, ReadinessCounts) {
  world::World world = shop();
  for (world::Endpoint& endpoint : world.endpoints) endpoint.ready = false;
  auto answer = explain_point(world, "client", "svc/shop/web");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().message,
            "Service shop/web refuses connections: 3 of its pods exist, none is ready. Ask about a "
            "pod instead");
}

// The shop with a policy for its web pods, whose Service declares HTTP.
std::string ask_both(std::string_view from, std::string_view to, PointMesh mesh, bool& allow) {
  world::World world = shop();
  k8s::AuthorizationPolicy policy;
  policy.meta.name = "web";
  policy.meta.ns = "shop";
  policy.selector = {{"app", "web"}};
  k8s::AuthorizationRule rule;
  rule.to.emplace_back().paths.values = {"/open"};
  policy.rules.push_back(rule);
  world.authorization_policies.push_back(std::make_shared<k8s::AuthorizationPolicy>(policy));
  world.finish();
  mesh.unlabelled = mesh::UnlabelledPods::kIn;
  auto answer = explain_point(world, from, to, {}, mesh);
  allow = answer && answer->allow;
  return answer ? answer->text : "error: " + answer.error().message;
}

PointMesh request(const std::string& path) {
  PointMesh mesh;
  mesh.query.http.emplace();
  mesh.query.http->path = path;
  return mesh;
}

TEST(ExplainPoint, BothGatesAreAsked) {
  bool allow = false;
  const std::string network =
      "pod default/client (198.18.0.9) -> pod shop/web-1 (198.18.0.1) TCP port 8080\n"
      "  egress:  allowed by default: no policy isolates the pod for egress\n"
      "  ingress: allowed by default: no policy isolates the pod for ingress\n";
  const std::string caller = "    caller      spiffe://cluster.local/ns/default/sa/default\n";
  EXPECT_EQ(ask_both("client", "shop/web-1", request("/open?x"), allow),
            "ALLOW  " + network +
                "  mesh:    allowed by AuthorizationPolicy shop/web rule 0 (ALLOW)\n" + caller +
                "    request     GET /open?x\n");
  EXPECT_TRUE(allow);
  EXPECT_EQ(ask_both("client", "shop/web-1", request("/props"), allow),
            "DENY   " + network +
                "  mesh:    denied by default\n"
                "    policies    shop/web\n"
                "    nearest     shop/web rule 0: paths: wants /open, has /props\n" +
                caller + "    request     GET /props\n");
  EXPECT_FALSE(allow);
  EXPECT_EQ(ask_both("client", "shop/web-1", request("/a%2f..%2fopen"), allow),
            "REJECT " + network +
                "  mesh:    the request is refused: the path has no canonical form: it holds an "
                "escaped slash\n" +
                caller + "    request     GET /a%2f..%2fopen\n");
  EXPECT_FALSE(allow);
}

TEST(ExplainPoint, WithoutARequestTheTextSaysWhatWasAssumed) {
  bool allow = true;
  std::string text = ask_both("client", "shop/web-1", {}, allow);
  EXPECT_FALSE(allow);
  EXPECT_NE(
      text.find("    note        the port is declared to carry HTTP, so GET / was asked; name "
                "another request with --method and --path\n"),
      std::string::npos)
      << text;
  text = ask_both("client", "shop/web-1:7070", {}, allow);
  EXPECT_NE(text.find("    note        judged as opaque TCP; for a request name --method and "
                      "--path\n"),
            std::string::npos)
      << text;
  // Where no policy asks, nothing is assumed.
  text = ask_both("client", "shop/plain:80", {}, allow);
  EXPECT_TRUE(allow);
  EXPECT_EQ(text.find("note"), std::string::npos) << text;
}

TEST(ExplainPoint, AServiceCountsThePodsThatBothGatesLetThrough) {
  bool allow = true;
  std::string text = ask_both("client", "svc/shop/web", request("/open"), allow);
  EXPECT_TRUE(text.starts_with("Service shop/web: 1 of 2 ready pods can be reached\nALLOW"))
      << text;
  text = ask_both("client", "svc/shop/web", request("/props"), allow);
  EXPECT_TRUE(text.starts_with("Service shop/web: 0 of 2 ready pods can be reached\nDENY")) << text;
}

TEST(ExplainPoint, TheHostIsWhatAClientWouldSend) {
  world::World world = shop();
  k8s::AuthorizationPolicy policy;
  policy.meta.name = "host";
  policy.meta.ns = "shop";
  for (const char* host : {"web.shop", "198.18.0.1:8080", "[fd00::1]:8080", "given"}) {
    k8s::AuthorizationRule rule;
    rule.to.emplace_back().hosts.values = {host};
    policy.rules.push_back(rule);
  }
  world.authorization_policies.push_back(std::make_shared<k8s::AuthorizationPolicy>(policy));
  world.finish();
  auto rule_for = [&](std::string_view to, PointMesh mesh) {
    mesh.unlabelled = mesh::UnlabelledPods::kIn;
    auto answer = explain_point(world, "client", to, {}, mesh);
    return answer && answer->cases[0].mesh ? answer->cases[0].mesh->rule.value_or(-1) : -2;
  };
  EXPECT_EQ(rule_for("svc/shop/web", request("/")), 0);
  EXPECT_EQ(rule_for("shop/web-1", request("/")), 1);
  EXPECT_EQ(rule_for("[fd00::1]:8080", request("/")), 2);
  PointMesh given = request("/");
  given.query.http->host = "given";
  EXPECT_EQ(rule_for("shop/web-1", given), 3);
}

}  // namespace
}  // namespace sallyport::analysis
