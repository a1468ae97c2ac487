// HTTP/1.1 through two proxies and mutual TLS.
#include "proxy/test_http.h"

namespace sallyport::proxy::testing {
namespace {

using std::chrono::milliseconds;

// An end or a reset, and not a wait in vain.
bool is_over(int next) {
  return next == 0 || next == -ECONNRESET;
}

TEST_F(HttpPairTest, CarriesRequestsAndKeepsItsConnections) {
  start();
  auto& at_a = watch(*a_);
  auto& at_b = watch(*b_);
  Fd client = dial(at(kServiceIp, 80));
  for (int i = 0; i < 20; ++i) {
    const Reply reply =
        ask(client,
            "POST /v1/x?q=1 HTTP/1.1\r\nHost: web.ai:80\r\nX-Forwarded-Client-Cert: By=me\r\n"
            "X-Envoy-Original-Path: /\r\nX-Mine: 1\r\nContent-Length: 3\r\n\r\nabc");
    ASSERT_EQ(reply.status(), 200) << reply.head;
    ASSERT_EQ(reply.body, "hello");
    ASSERT_EQ(header_of(reply.head, "server"), "origin");
    ASSERT_EQ(reply.head.find("x-envoy"), std::string::npos);
  }
  EXPECT_EQ(origin_.connections(), 1);
  const std::string head = origin_.heads().back();
  EXPECT_TRUE(head.starts_with("POST /v1/x?q=1 HTTP/1.1\r\nhost: web.ai:80\r\n")) << head;
  EXPECT_TRUE(head.ends_with("\r\n\r\nabc"));
  EXPECT_EQ(header_of(head, "x-mine"), "1");
  EXPECT_EQ(header_of(head, "x-request-id").size(), 36u);
  EXPECT_EQ(head.find("x-envoy"), std::string::npos);
  const std::string xfcc = header_of(head, "x-forwarded-client-cert");
  EXPECT_TRUE(xfcc.starts_with("By=spiffe://cluster.local/ns/ai/sa/server;Hash=")) << xfcc;
  EXPECT_TRUE(xfcc.ends_with(";Subject=\"\";URI=spiffe://cluster.local/ns/ai/sa/client")) << xfcc;
  for (auto* ring : {&at_a, &at_b}) {
    const auto seen = records(*ring, 20);
    ASSERT_GE(seen.size(), 20U);
    const auto& r = seen[0];
    EXPECT_EQ(r.kind, telemetry::FlowKind::kRequest);
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.allow, 1);
    EXPECT_EQ(r.tls_version, 0x0304);
    EXPECT_STREQ(r.method, "POST");
    EXPECT_STREQ(r.path, "/v1/x");
    EXPECT_STREQ(r.host, "web.ai:80");
    EXPECT_EQ(r.bytes_received, 3u);
    EXPECT_EQ(r.bytes_sent, 5u);
    EXPECT_STREQ(r.peer, ring == &at_a ? "spiffe://cluster.local/ns/ai/sa/server"
                                       : "spiffe://cluster.local/ns/ai/sa/client");
  }
}

TEST_F(HttpPairTest, AnIdleClientHoldsNoSecondLeg) {
  start();
  Fd client = dial(at(kServiceIp, 80));
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(a_->on_worker([](Worker& w) { return w.pool().connections(); }), 0u);
  EXPECT_EQ(ask(client, kGet).status(), 200);
  EXPECT_EQ(a_->on_worker([](Worker& w) { return w.pool().connections(); }), 1u);
}

TEST_F(HttpPairTest, PolicyDecidesOnIdentityMethodAndCanonicalPath) {
  k8s::AuthorizationRule rule;
  k8s::AuthorizationSource source;
  source.principals.values = {"cluster.local/ns/ai/sa/client"};
  k8s::AuthorizationOperation operation;
  operation.methods.values = {"POST"};
  operation.paths.values = {"/v1/completions"};
  rule.from.push_back(source);
  rule.to.push_back(operation);
  policy(k8s::AuthorizationAction::kAllow, rule);
  start();
  auto& at_b = watch(*b_);
  Fd client = dial(at(kServiceIp, 80));
  const auto post = [&](const std::string& target) {
    return ask(client, "POST " + target + " HTTP/1.1\r\nHost: web\r\nContent-Length: 2\r\n\r\nhi");
  };
  ASSERT_EQ(post("/v1/completions").status(), 200);
  const Reply denied = post("/props");
  EXPECT_EQ(denied.status(), 403);
  EXPECT_EQ(denied.body, "RBAC: access denied");
  EXPECT_EQ(post("/v1//completions?a=b").status(), 200);
  ASSERT_FALSE(origin_.heads().empty());
  EXPECT_EQ(origin_.heads().back().substr(0, 33), "POST /v1/completions?a=b HTTP/1.1");
  EXPECT_EQ(post("/v1/%63ompletions").status(), 200);
  EXPECT_EQ(post("/x/../v1/completions").status(), 200);
  for (const char* path : {"//props", "/%70rops", "/v1/completions/../../props",
                           "/v1/completions;x", "/V1/completions", "/v1/completions/",
                           "/v1/completions/props", "/./props", "/v1\\..\\props"})
    EXPECT_EQ(post(path).status(), 403) << path;
  EXPECT_EQ(post("/v1/completions%2f..%2f..%2fprops").status(), 400);
  EXPECT_EQ(post("/v1/completions%00").status(), 400);
  EXPECT_EQ(ask(client, "GET /v1/completions HTTP/1.1\r\nHost: web\r\n\r\n").status(), 403);
  for (const std::string& head : origin_.heads())
    EXPECT_EQ(head.find("props"), std::string::npos) << head;
  const auto seen = records(at_b, 2);
  ASSERT_GE(seen.size(), 2u);
  EXPECT_STREQ(seen[0].policy, "ai/guard");
  EXPECT_EQ(seen[0].rule, 0);
  EXPECT_EQ(seen[1].kind, telemetry::FlowKind::kRefused);
  EXPECT_EQ(seen[1].allow, 0);
  EXPECT_EQ(seen[1].status, 403);
  EXPECT_STREQ(seen[1].reason, "no ALLOW rule matches");
  EXPECT_STREQ(seen[1].policy, "ai/guard");
}

TEST_F(HttpPairTest, EventsArriveOneByOne) {
  Fd app_listener = listen_on_loopback();
  lead_to(local_port(app_listener.get()));
  start();
  Fd client = dial(at(kServiceIp, 80));
  send_all(client, kGet);
  Fd app = accept_from(app_listener);
  ASSERT_TRUE(app);
  ASSERT_FALSE(read_head(app).empty());
  send_all(app, "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
  EXPECT_TRUE(read_head(client).starts_with("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n"));
  send_all(
      app,
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string head = read_head(client);
  EXPECT_EQ(header_of(head, "transfer-encoding"), "chunked");
  for (int i = 0; i < 5; ++i) {
    send_all(app, "b\r\ndata: " + std::to_string(i) + "\r\n\r\n\r\n");
    EXPECT_EQ(read_n(client, 16), "b\r\ndata: " + std::to_string(i) + "\r\n\r\n\r\n");
  }
  send_all(app, "0\r\nx-sum: 1\r\n\r\n");
  EXPECT_EQ(read_n(client, 15), "0\r\nx-sum: 1\r\n\r\n");
}

TEST_F(HttpPairTest, ALargeBodyGoesThroughInLittleMemory) {
  Fd app_listener = listen_on_loopback();
  lead_to(local_port(app_listener.get()));
  start();
  Fd client = dial(at(kServiceIp, 80));
  constexpr size_t kSize = 24 << 20;
  send_all(client, kGet);
  Fd app = accept_from(app_listener);
  ASSERT_FALSE(read_head(app).empty());
  std::thread sender([&] {
    send_all(app, "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kSize) + "\r\n\r\n");
    const std::string piece(1 << 20, 'z');
    for (size_t i = 0; i < kSize; i += piece.size()) send_all(app, piece);
  });
  const std::string head = read_head(client);
  std::this_thread::sleep_for(milliseconds(300));  // nobody reads: it must stop
  for (TestProxy* proxy : {a_.get(), b_.get()})
    EXPECT_LT(proxy->on_worker([](Worker& w) { return w.buffers().in_use(); }), 3u << 20);
  EXPECT_EQ(read_n(client, kSize), std::string(kSize, 'z'));
  sender.join();
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(b_->on_worker([](Worker& w) { return w.buffers().in_use(); }), 0u);
}

TEST_F(HttpPairTest, AbortsGoBothWays) {
  Fd app_listener = listen_on_loopback();
  lead_to(local_port(app_listener.get()));
  start();
  Fd client = dial(at(kServiceIp, 80));
  send_all(client, kGet);
  Fd app = accept_from(app_listener);
  ASSERT_FALSE(read_head(app).empty());
  client.reset();
  EXPECT_TRUE(is_over(next(app)));  // the application learns that nobody waits

  client = dial(at(kServiceIp, 80));
  send_all(client, kGet);
  app = accept_from(app_listener);
  ASSERT_FALSE(read_head(app).empty());
  send_all(app, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
  ASSERT_FALSE(read_head(client).empty());
  EXPECT_EQ(read_n(client, 4), "half");
  app.reset();
  EXPECT_TRUE(is_over(next(client)));  // and the client that there is no more

  client = dial(at(kServiceIp, 80));
  send_all(client, "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 1\r\n\r\nx");
  app = accept_from(app_listener);
  ASSERT_FALSE(read_head(app).empty());
  app.reset();
  EXPECT_TRUE(read_head(client).starts_with("HTTP/1.1 503 "));
}

TEST_F(HttpPairTest, AClosedPooledConnectionIsNotNoticedByTheClient) {
  start();
  Fd client = dial(at(kServiceIp, 80));
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(ask(client, kGet).status(), 200) << i;
    ASSERT_EQ(ask(client, "POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 1\r\n\r\nx").status(),
              200);
    origin_.close_connections();
    if (i % 2 == 0) std::this_thread::sleep_for(milliseconds(20));
  }
}

TEST_F(HttpPairTest, RefusalsAreAnsweredAtOnce) {
  start();
  auto& at_a = watch(*a_);
  // An origin that is not there.
  wires_.lead(at(kServerIp, 8080), 1, true);
  Fd client = dial(at(kServiceIp, 80));
  Reply reply = ask(client, kGet);
  EXPECT_EQ(reply.status(), 503);
  EXPECT_EQ(header_of(reply.head, "retry-after"), "1");
  // Gate 1 says no.
  auto deny = std::make_shared<k8s::NetworkPolicy>();
  deny->meta.ns = "ai";
  deny->meta.name = "nobody";
  deny->isolates_ingress = true;
  deny->pod_selector.match_labels = {{"app", "web"}};
  world_.network_policies = {deny};
  publish();
  reply = ask(client, kGet);
  EXPECT_EQ(reply.status(), 503);
  EXPECT_EQ(reply.body, "denied by network policy");
  const auto seen = records(at_a, 2);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[1].network_denied, 1);
  EXPECT_STREQ(seen[1].policy, "ai/nobody");
  EXPECT_EQ(seen[1].status, 503);
}

TEST_F(HttpPairTest, APolicyCutsAStreamThatItAllowedBefore) {
  Fd app_listener = listen_on_loopback();
  lead_to(local_port(app_listener.get()));
  start();
  auto& at_b = watch(*b_);
  Fd client = dial(at(kServiceIp, 80));
  send_all(client, kGet);
  Fd app = accept_from(app_listener);
  ASSERT_FALSE(read_head(app).empty());
  send_all(app, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
  ASSERT_FALSE(read_head(client).empty());
  EXPECT_EQ(read_n(client, 7), "2\r\nhi\r\n");
  k8s::AuthorizationRule rule;
  k8s::AuthorizationOperation operation;
  operation.paths.values = {"/v1"};
  rule.to.push_back(operation);
  policy(k8s::AuthorizationAction::kDeny, rule);
  publish();
  EXPECT_TRUE(is_over(next(client)));
  EXPECT_TRUE(is_over(next(app)));
  const auto seen = records(at_b, 1);
  ASSERT_GE(seen.size(), 1u);
  EXPECT_EQ(seen[0].allow, 0);
  EXPECT_STREQ(seen[0].policy, "ai/guard");
  client = dial(at(kServiceIp, 80));
  EXPECT_EQ(ask(client, kGet).status(), 403);
}

TEST_F(HttpPairTest, WebSockets) {
  Fd app_listener = listen_on_loopback();
  lead_to(local_port(app_listener.get()));
  start();
  Fd client = dial(at(kServiceIp, 80));
  send_all(client,
           "GET /ws HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Key: abc\r\n\r\n");
  Fd app = accept_from(app_listener);
  ASSERT_TRUE(app);
  const std::string head = read_head(app);
  EXPECT_EQ(header_of(head, "upgrade"), "websocket");
  EXPECT_EQ(header_of(head, "sec-websocket-key"), "abc");
  send_all(
      app,
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst");
  EXPECT_TRUE(read_head(client).starts_with("HTTP/1.1 101 "));
  EXPECT_EQ(read_n(client, 5), "first");
  send_all(client, "ping");
  EXPECT_EQ(read_n(app, 4), "ping");
  ::shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(next(app), 0);  // half-closed
  send_all(app, "last");
  EXPECT_EQ(read_n(client, 4), "last");
  app.reset();
  EXPECT_EQ(next(client), 0);
}

TEST_F(HttpPairTest, MetricsOfBothSides) {
  start();
  Fd client = dial(at(kServiceIp, 80));
  for (int i = 0; i < 3; ++i) ASSERT_EQ(ask(client, kGet).status(), 200);
  for (TestProxy* proxy : {a_.get(), b_.get()}) {
    const std::string text = proxy->on_worker([](Worker& w) {
      telemetry::Exposition out;
      telemetry::declare_all(out);
      w.reporting().render(out);
      return out.text();
    });
    const size_t at = text.find("istio_requests_total{");
    ASSERT_NE(at, std::string::npos) << text;
    const std::string line = text.substr(at, text.find('\n', at) - at);
    EXPECT_NE(line.find(proxy == a_.get() ? "reporter=\"source\"" : "reporter=\"destination\""),
              std::string::npos)
        << line;
    EXPECT_NE(line.find("source_principal=\"spiffe://cluster.local/ns/ai/sa/client\""),
              std::string::npos)
        << line;
    EXPECT_NE(line.find("destination_service=\"web.ai.svc.cluster.local\""), std::string::npos)
        << line;
    EXPECT_NE(line.find("response_code=\"200\""), std::string::npos) << line;
    EXPECT_TRUE(line.ends_with("} 3")) << line;
  }
}

TEST_F(HttpPairTest, MalformedRequestsAreAnswered400AndNotForwarded) {
  start();
  Fd client = dial(at(kServiceIp, 80));
  const Reply reply = ask(client,
                          "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n");
  EXPECT_EQ(reply.status(), 400);
  EXPECT_EQ(next(client), 0);
  EXPECT_EQ(origin_.heads().size(), 0u);
}

}  // namespace
}  // namespace sallyport::proxy::testing
