// Policies as people write them, from the manifest to the decision.
#include "k8s/manifest.h"

#include <gtest/gtest.h>

#include "authz/evaluator.h"
#include "authz/matcher.h"
#include "authz/peer_modes.h"
#include "authz/test_support.h"

namespace sallyport::authz {
namespace {

using namespace testing;

constexpr char kManifest[] = R"(
apiVersion: security.istio.io/v1beta1
kind: AuthorizationPolicy
metadata:
  name: inference-authz
  namespace: inference
spec:
  selector:
    matchLabels:
      app: model-server
  action: ALLOW
  rules:
  - from:
    - source:
        principals: ["cluster.local/ns/api-gateway/sa/gateway-sa"]
    to:
    - operation:
        methods: ["POST"]
        paths: ["/v1/completions", "/v1/chat/completions"]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: no-admin
  namespace: istio-system
spec:
  action: DENY
  rules:
  - to:
    - operation:
        paths: ["/admin/{**}"]
    when:
    - key: request.headers[x-team]
      notValues: ["ops*"]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: only-jobs
  namespace: inference
  annotations:
    istio.io/dry-run: "true"
spec:
  action: ALLOW
  rules:
  - from:
    - source:
        namespaces: ["jobs"]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata:
  name: default
  namespace: inference
spec:
  mtls:
    mode: STRICT
)";

TEST(Manifest, FromTextToDecision) {
  const k8s::Manifest manifest = k8s::parse_manifest(kManifest, "policies.yaml");
  for (const auto& diagnostic : manifest.diagnostics)
    EXPECT_NE(diagnostic.severity, k8s::Diagnostic::Severity::kError) << diagnostic.to_string();
  const world::World world = world::from_objects(manifest.objects);
  ASSERT_EQ(world.authorization_policies.size(), 3u);
  const world::Endpoint pod = workload();
  const MatcherPtr matcher = compile(world, pod);
  auto decide = [&](const RequestFacts& r) {
    const Decision out = matcher->decide(connection(), &r);
    EXPECT_EQ(out, evaluate(world, pod, connection(), &r));
    return out;
  };
  Decision d = decide(request());
  EXPECT_TRUE(d.allow);
  EXPECT_EQ(istio_policy_id(d), "ns[inference]-policy[inference-authz]-rule[0]");
  EXPECT_FALSE(d.dry_run_deny) << "the policy in force would still allow it";
  d = decide(request("/props"));
  EXPECT_FALSE(d.allow);
  EXPECT_EQ(d.reason, Reason::kNoAllowMatches);
  d = decide(request("/admin/keys"));
  EXPECT_EQ(istio_policy_id(d), "ns[istio-system]-policy[no-admin]-rule[0]");
  const HeaderField ops[] = {{"x-team", "ops-1"}};
  RequestFacts r = request("/admin/keys");
  r.headers = ops;
  EXPECT_EQ(decide(r).reason, Reason::kNoAllowMatches);
  EXPECT_EQ(peer_modes(world, pod).at(8080),
            (PortMode{k8s::MutualTlsMode::kStrict, "inference/default"}));
}

}  // namespace
}  // namespace sallyport::authz
