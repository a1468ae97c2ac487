// Random worlds of policies, and questions to them, in which much meets: few names, so that values,
// facts and labels agree often, and every field, form of value and key occurs. For property tests
// and the fuzzer: `Source` answers between(least, most).
#pragma once

#include <list>
#include <memory>
#include <string>
#include <vector>

#include "authz/test_support.h"

namespace sallyport::authz::testing {

template <class Source>
class RandomPolicies {
 public:
  explicit RandomPolicies(Source& source) : source_(source) {}

  world::World world(int most_policies) {
    world::World out;
    out.mesh.root_namespace = "istio-system";
    if (one_in(4)) out.mesh.trust_domain = "corp.example";
    if (one_in(5)) out.mesh.path_normalization = k8s::PathNormalization::kNone;
    for (int n = between(0, most_policies); n > 0; --n)
      out.authorization_policies.push_back(
          std::make_shared<const k8s::AuthorizationPolicy>(policy(n)));
    out.finish();
    return out;
  }

  world::Endpoint pod() { return workload(pick({"a", "b", "istio-system"}), labels()); }

  // What a question consists of, and what its views point to.
  struct Question {
    ConnectionFacts connection;
    RequestFacts request;
    bool http = true;
    std::vector<HeaderField> headers;
    codec::Value claims;
    std::list<std::string> texts;
    std::vector<std::string_view> space_delimited;
    [[nodiscard]] const RequestFacts* facts() const { return http ? &request : nullptr; }
  };

  std::unique_ptr<Question> question() {
    auto out = std::make_unique<Question>();
    auto keep = [&](std::string text) -> std::string_view {
      return out->texts.emplace_back(std::move(text));
    };
    out->connection.principal = one_in(4) ? "" : keep(principal_fact());
    out->connection.source_ip = address();
    out->connection.destination_ip = address();
    out->connection.destination_port = static_cast<uint16_t>(between(0, 3) + 8080);
    out->connection.sni = one_in(2) ? "" : keep(word());
    out->http = !one_in(4);
    RequestFacts& request = out->request;
    request.method = keep(pick({"GET", "POST", "PUT", "get", "P", ""}));
    request.path = keep(one_in(30) ? "/v1/%3A" + std::string(5000, 'x') : path_fact());
    request.target = one_in(2) ? "" : keep(std::string(request.path) + "?q=" + word());
    request.host = keep(host_fact());
    for (int n = between(0, 3); n > 0; --n)
      out->headers.push_back({keep(pick({"x-a", "x-b"})), keep(one_in(5) ? "" : word())});
    request.headers = out->headers;
    request.remote_ip = address();
    if (one_in(2)) add_token(*out, keep);
    return out;
  }

  k8s::AuthorizationPolicy policy(int n) {
    using enum AuthorizationAction;
    auto out =
        testing::policy(pick({"a", "a", "b", "istio-system"}), "p" + std::to_string(n), kAllow, {});
    out.action = std::vector<AuthorizationAction>{
        kAllow, kAllow, kAllow, kDeny, kDeny, kAudit}[static_cast<size_t>(between(0, 5))];
    if (one_in(60)) out.action = kCustom;
    out.has_target_refs = one_in(20);
    out.dry_run = one_in(6);
    if (one_in(2)) out.selector = labels();
    for (int i = between(one_in(8) ? 0 : 1, 3); i > 0; --i) out.rules.push_back(rule());
    return out;
  }

  int between(int least, int most) { return source_.between(least, most); }
  bool one_in(int n) { return between(1, n) == n; }
  std::string pick(std::initializer_list<const char*> from) {
    return *(from.begin() + between(0, static_cast<int>(from.size()) - 1));
  }

 private:
  using Values = std::vector<std::string>;

  k8s::Labels labels() {
    k8s::Labels out;
    if (one_in(2)) out["app"] = pick({"x", "y"});
    if (one_in(3)) out["tier"] = pick({"x", "y"});
    return out;
  }

  std::string word() { return pick({"red", "redder", "green", "tired", "r", "re*d", "x y"}); }
  std::string glob(std::string text) {
    const auto length = static_cast<int>(text.size());
    switch (between(0, 7)) {
      case 0:
        return "*";
      case 1:
        return text.substr(0, static_cast<size_t>(between(1, length))) + "*";
      case 2:
        return "*" + text.substr(static_cast<size_t>(between(0, length - 1)));
      case 3:
        return one_in(6) ? "*" + text + "*" : text;
      default:
        return text;
    }
  }

  std::string ns() { return pick({"a", "b", "prod-a", "prod-b", "sa"}); }
  std::string account() { return pick({"web", "api", "sa"}); }
  std::string trust_domain() { return pick({"cluster.local", "corp.example", "other"}); }
  std::string principal_fact() {
    if (one_in(12)) return pick({"corp.example", "other/x/y", "other/ns/a", "other/ns/a/sa/w/x"});
    return trust_domain() + "/ns/" + ns() + "/sa/" + account();
  }
  std::string account_value() { return one_in(2) ? account() : ns() + "/" + account(); }
  std::string namespace_value() {
    if (one_in(3)) return pick({"*", "prod-*", "*-a", "p*-*", "*o*", "*sa", "pr*d-a", "**", "a*"});
    return ns();
  }

  Ip address() {
    return ip(pick({"198.18.0.1", "198.18.0.2", "198.18.1.1", "fd00::1", "fd00::2", "fd01::1"}));
  }
  std::string block() {
    return pick({"198.18.0.1", "198.18.0.0/24", "198.18.0.0/16", "0.0.0.0/0", "::/0", "fd00::1",
                 "fd00::/64", "fd00::/8", "198.18.0.2/31", "fd00::/127"});
  }

  std::string path_fact() {
    return pick({"/",
                 "/v1",
                 "/v1/",
                 "/v1/completions",
                 "/v1/chat/completions",
                 "/v1//completions",
                 "/admin",
                 "/admin/",
                 "/admin/x",
                 "/v1/m%2Fn",
                 "/V1",
                 "*",
                 "/a/b/c/d",
                 "",
                 "/v1/x/completions",
                 "/admin;x",
                 "/;/admin/x;y",
                 "/v1%3Bx/completions",
                 "/%61dmin",
                 "/v1%2Fcompletions",
                 "/v1/;a=b"});
  }
  std::string path_value() {
    if (one_in(3))
      return pick({"/{*}", "/{**}", "/v1/{*}/completions", "/v1/{**}/completions", "/v1/{**}",
                   "/{*}/{*}", "/admin/{**}", "/{*}/{**}", "/a/{*}/c/{**}/d", "/{*}/"});
    if (one_in(6)) return pick({"/v1/m%2fn", "/%76%31", "/v1/m%2*"});
    std::string path = path_fact();
    return path.empty() ? "/none" : glob(path);
  }
  std::string host_name() { return pick({"web.a", "Web.A", "api.b", "a"}); }
  std::string host_fact() {
    return host_name() + pick({"", "", "."}) + pick({"", "", ":80", ":8080", ":"});
  }
  std::string host_value() { return glob(host_fact()); }
  std::string request_principal_value() {
    return pick({"*", "https://i.example/red", "https://i.example/*", "https://i.example/r*",
                 "https://i*", "*red", "*/red", "*.example/red", "two/red", "two", "two*",
                 "two/re/d", "*/*"});
  }

  template <class Make>
  k8s::MatchValues values(Make make) {
    k8s::MatchValues out;
    // Sometimes more than are compared one by one.
    const int most = one_in(8) ? 14 : 3;
    if (!one_in(3))
      for (int n = between(1, most); n > 0; --n) out.values.push_back(make());
    if (out.values.empty() || one_in(5))
      for (int n = between(1, 2); n > 0; --n) out.not_values.push_back(make());
    return out;
  }

  k8s::AuthorizationSource source() {
    k8s::AuthorizationSource out;
    do {
      switch (between(0, 6)) {
        case 0:
          out.principals = values([&] { return glob(principal_fact()); });
          break;
        case 1:
          out.namespaces = values([&] { return namespace_value(); });
          break;
        case 2:
          out.service_accounts = values([&] { return account_value(); });
          break;
        case 3:
          out.ip_blocks = values([&] { return block(); });
          break;
        case 4:
          out.remote_ip_blocks = values([&] { return block(); });
          break;
        case 5:
          out.trust_domains = values([&] { return glob(trust_domain()); });
          break;
        default:
          out.request_principals = values([&] { return request_principal_value(); });
          break;
      }
    } while (one_in(3));
    return out;
  }

  k8s::AuthorizationOperation operation() {
    k8s::AuthorizationOperation out;
    do {
      switch (between(0, 3)) {
        case 0:
          out.hosts = values([&] { return host_value(); });
          break;
        case 1:
          out.ports = values([&] { return pick({"8080", "8081", "0", "65535"}); });
          break;
        case 2:
          out.methods = values([&] { return glob(pick({"GET", "POST", "PUT"})); });
          break;
        default:
          out.paths = values([&] { return path_value(); });
          break;
      }
    } while (one_in(2));
    return out;
  }

  k8s::AuthorizationCondition condition() {
    auto words = [&] { return values([&] { return glob(word()); }); };
    auto blocks = [&] { return values([&] { return block(); }); };
    switch (between(0, 16)) {
      case 0:
        return {"source.ip", blocks()};
      case 1:
        return {"remote.ip", blocks()};
      case 2:
        return {"destination.ip", blocks()};
      case 3:
        return {"destination.port", values([&] { return pick({"8080", "8082"}); })};
      case 4:
        return {"connection.sni", words()};
      case 5:
        return {"source.namespace", values([&] { return namespace_value(); })};
      case 6:
        return {"source.principal", values([&] { return glob(principal_fact()); })};
      case 7:
        return {"source.serviceAccount", values([&] { return account_value(); })};
      case 8:
        return {"source.trustDomain", values([&] { return glob(trust_domain()); })};
      case 9:
        return {"request.auth.principal", values([&] { return request_principal_value(); })};
      case 10:
        return {"request.auth.audiences", words()};
      case 11:
        return {"request.auth.presenter", words()};
      case 12:
      case 13:
        return {"request.auth.claims" + pick({"[c]", "[c][d]", "[c][d][e]", "[scope]", "[s.t]",
                                              "[iss]", "[permission]", "[list]"}),
                words()};
      case 14:
        return {"request.headers[" + pick({":method", ":path", ":authority", "host", "Host"}) + "]",
                values([&] { return glob(pick({"GET", "/v1", "web.a", "/v1?q=red"})); })};
      default:
        if (one_in(40))
          return {pick({"experimental.envoy.filters.x[y]", "request.unknown", "request.headers",
                        "request.auth.claims[", "request.headers[:scheme]"}),
                  words()};
        return {"request.headers[" + pick({"X-A", "x-b"}) + "]", words()};
    }
  }

  k8s::AuthorizationRule rule() {
    k8s::AuthorizationRule out;
    if (one_in(12)) return out;
    if (one_in(2))
      for (int n = between(1, 2); n > 0; --n) out.from.push_back(source());
    if (one_in(2))
      for (int n = between(1, 2); n > 0; --n) out.to.push_back(operation());
    if (one_in(2))
      for (int n = between(1, 2); n > 0; --n) out.when.push_back(condition());
    if (one_in(80)) {
      k8s::AuthorizationOperation bad;
      bad.ports.values = {pick({"70000", "x", ""})};
      out.to.push_back(bad);
    }
    return out;
  }

  codec::Value claim() {
    using codec::Value;
    switch (between(0, 6)) {
      case 0:
        return Value::integer(7);
      case 1:
        return Value::boolean(true);
      case 2: {
        Value list = Value::list();
        for (int n = between(0, 3); n > 0; --n)
          list.push(one_in(4) ? Value::integer(1) : Value::string(word()));
        return list;
      }
      case 3: {
        Value map = Value::map();
        map.set("d", one_in(3) ? claim() : Value::string(word()));
        return map;
      }
      default:
        return Value::string(one_in(2) ? word() : word() + "  " + word());
    }
  }

  template <class Keep>
  void add_token(Question& out, Keep& keep) {
    using codec::Value;
    const std::string iss = pick({"https://i.example", "two", ""});
    const std::string sub = pick({"red", "green", "re/d", ""});
    out.claims = Value::map();
    if (!iss.empty()) out.claims.set("iss", iss);
    if (!sub.empty()) out.claims.set("sub", sub);
    for (const char* name : {"aud", "azp", "c", "scope", "permission", "s.t", "list"})
      if (one_in(2)) out.claims.set(name, claim());
    if (one_in(2)) out.space_delimited.push_back(keep("list"));
    if (!iss.empty() && !sub.empty()) out.request.request_principal = keep(iss + "/" + sub);
    // Without the claims at hand, the principal alone has to do.
    if (!one_in(6)) out.request.claims = &out.claims;
    out.request.space_delimited_claims = out.space_delimited;
  }

  Source& source_;
};

}  // namespace sallyport::authz::testing
