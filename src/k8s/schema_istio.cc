// Istio's security API (security.istio.io/v1 and v1beta1, one schema; the stable channel and the
// trust domains of the extended one).
#include "k8s/schema.h"

namespace sallyport::k8s {
namespace {

constexpr FieldSchema kWorkloadSelector[] = {{"matchLabels", "map[]string"}};
constexpr FieldSchema kTargetReference[] = {
    {"group", "string"}, {"kind", "string"}, {"name", "string"}, {"namespace", "string"}};

constexpr FieldSchema kAuthorizationPolicy[] = {
    {"apiVersion", "string!"},           {"kind", "string!"},  {"metadata", "ObjectMeta!"},
    {"spec", "AuthorizationPolicySpec"}, {"status", "object"},
};
constexpr FieldSchema kAuthorizationPolicySpec[] = {
    {"action", "enum:ALLOW|DENY|AUDIT|CUSTOM"}, {"provider", "AuthorizationProvider"},
    {"rules", "[]AuthorizationRule"},           {"selector", "WorkloadSelector"},
    {"targetRef", "PolicyTargetReference"},     {"targetRefs", "[]PolicyTargetReference"},
};
constexpr FieldSchema kAuthorizationProvider[] = {{"name", "string"}};
constexpr FieldSchema kAuthorizationRule[] = {
    {"from", "[]AuthorizationFrom"}, {"to", "[]AuthorizationTo"}, {"when", "[]AuthorizationWhen"}};
constexpr FieldSchema kAuthorizationFrom[] = {{"source", "AuthorizationSource"}};
constexpr FieldSchema kAuthorizationSource[] = {
    {"ipBlocks", "[]string"},
    {"namespaces", "[]string"},
    {"notIpBlocks", "[]string"},
    {"notNamespaces", "[]string"},
    {"notPrincipals", "[]string"},
    {"notRemoteIpBlocks", "[]string"},
    {"notRequestPrincipals", "[]string"},
    {"notServiceAccounts", "[]string"},
    {"notTrustDomains", "[]string"},
    {"principals", "[]string"},
    {"remoteIpBlocks", "[]string"},
    {"requestPrincipals", "[]string"},
    {"serviceAccounts", "[]string"},
    {"trustDomains", "[]string"},
};
constexpr FieldSchema kAuthorizationTo[] = {{"operation", "AuthorizationOperation"}};
constexpr FieldSchema kAuthorizationOperation[] = {
    {"hosts", "[]string"},    {"methods", "[]string"},    {"notHosts", "[]string"},
    {"notPaths", "[]string"}, {"notMethods", "[]string"}, {"notPorts", "[]string"},
    {"paths", "[]string"},    {"ports", "[]string"},
};
constexpr FieldSchema kAuthorizationWhen[] = {
    {"key", "string!"}, {"notValues", "[]string"}, {"values", "[]string"}};

constexpr FieldSchema kPeerAuthentication[] = {
    {"apiVersion", "string!"},          {"kind", "string!"},  {"metadata", "ObjectMeta!"},
    {"spec", "PeerAuthenticationSpec"}, {"status", "object"},
};
constexpr FieldSchema kPeerAuthenticationSpec[] = {
    {"mtls", "MutualTls"},
    {"portLevelMtls", "map[]MutualTls"},
    {"selector", "WorkloadSelector"},
};
constexpr FieldSchema kMutualTls[] = {{"mode", "enum:UNSET|DISABLE|PERMISSIVE|STRICT"}};

constexpr FieldSchema kRequestAuthentication[] = {
    {"apiVersion", "string!"},   {"kind", "string!"},
    {"metadata", "ObjectMeta!"}, {"spec", "RequestAuthenticationSpec"},
    {"status", "object"},
};
constexpr FieldSchema kRequestAuthenticationSpec[] = {
    {"jwtRules", "[]JwtRule"},
    {"selector", "WorkloadSelector"},
    {"targetRef", "PolicyTargetReference"},
    {"targetRefs", "[]PolicyTargetReference"},
};
constexpr FieldSchema kJwtRule[] = {
    {"audiences", "[]string"},
    {"forwardOriginalToken", "bool"},
    {"fromCookies", "[]string"},
    {"fromHeaders", "[]JwtHeader"},
    {"fromParams", "[]string"},
    {"issuer", "string"},
    {"jwks", "string"},
    {"jwksUri", "string"},
    {"jwks_uri", "string"},  // an older spelling that the API server still takes
    {"outputClaimToHeaders", "[]ClaimToHeader"},
    {"outputPayloadToHeader", "string"},
    {"spaceDelimitedClaims", "[]string"},
    {"timeout", "string"},
};
constexpr FieldSchema kJwtHeader[] = {{"name", "string"}, {"prefix", "string"}};
constexpr FieldSchema kClaimToHeader[] = {{"claim", "string"}, {"header", "string"}};

constexpr TypeSchema kTypes[] = {
    {"WorkloadSelector", kWorkloadSelector},
    {"PolicyTargetReference", kTargetReference},
    {"AuthorizationPolicy", kAuthorizationPolicy},
    {"AuthorizationPolicySpec", kAuthorizationPolicySpec},
    {"AuthorizationProvider", kAuthorizationProvider},
    {"AuthorizationRule", kAuthorizationRule},
    {"AuthorizationFrom", kAuthorizationFrom},
    {"AuthorizationSource", kAuthorizationSource},
    {"AuthorizationTo", kAuthorizationTo},
    {"AuthorizationOperation", kAuthorizationOperation},
    {"AuthorizationWhen", kAuthorizationWhen},
    {"PeerAuthentication", kPeerAuthentication},
    {"PeerAuthenticationSpec", kPeerAuthenticationSpec},
    {"MutualTls", kMutualTls},
    {"RequestAuthentication", kRequestAuthentication},
    {"RequestAuthenticationSpec", kRequestAuthenticationSpec},
    {"JwtRule", kJwtRule},
    {"JwtHeader", kJwtHeader},
    {"ClaimToHeader", kClaimToHeader},
};

}  // namespace

std::span<const TypeSchema> istio_types() {
  return kTypes;
}

}  // namespace sallyport::k8s
