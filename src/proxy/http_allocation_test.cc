// 10,000 warm keep-alive requests through two proxies, mutual TLS and a policy: their workers
// allocate nothing.
#include <atomic>
#include <cstdlib>
#include <new>

#include "proxy/test_http.h"

namespace {
thread_local size_t allocations = 0;
}  // namespace

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void*,
                                                                           size_t),
                                                         void (*on_free)(const volatile void*));
namespace {
void count(const volatile void*, size_t) {
  ++allocations;
}
void ignore(const volatile void*) {}
void install() {
  static const int once = __sanitizer_install_malloc_and_free_hooks(count, ignore);
  (void)once;
}
}  // namespace
#else
// glibc's own entry points: everything that allocates comes through them.
extern "C" void* __libc_malloc(size_t);
extern "C" void* __libc_calloc(size_t, size_t);
extern "C" void* __libc_realloc(void*, size_t);
extern "C" void* malloc(size_t size) {
  ++allocations;
  return __libc_malloc(size);
}
extern "C" void* calloc(size_t count, size_t size) {
  ++allocations;
  return __libc_calloc(count, size);
}
extern "C" void* realloc(void* p, size_t size) {
  ++allocations;
  return __libc_realloc(p, size);
}
namespace {
void install() {}
}  // namespace
#endif

namespace sallyport::proxy::testing {
namespace {

TEST_F(HttpPairTest, WarmRequestsAllocateNothing) {
  install();
  k8s::AuthorizationRule rule;
  k8s::AuthorizationSource source;
  source.principals.values = {"cluster.local/ns/ai/sa/client"};
  k8s::AuthorizationOperation operation;
  operation.methods.values = {"GET", "POST"};
  operation.paths.values = {"/v1*"};
  rule.from.push_back(source);
  rule.to.push_back(operation);
  policy(k8s::AuthorizationAction::kAllow, rule);
  // An origin with nothing but a loop, so that it is quick.
  Fd listener = listen_on_loopback();
  lead_to(local_port(listener.get()));
  start();
  watch(*a_);
  watch(*b_);
  std::thread origin([&] {
    Fd app = accept_from(listener);
    const std::string answer =
        "HTTP/1.1 200 OK\r\nserver: origin\r\ncontent-length: 5\r\n\r\nhello";
    char buffer[4096];
    while (::recv(app.get(), buffer, sizeof buffer, 0) > 0)
      if (::send(app.get(), answer.data(), answer.size(), MSG_NOSIGNAL) <= 0) break;
  });
  Fd client = dial(at(kServiceIp, 80));
  const std::string ask_text =
      "GET /v1/models?x=1 HTTP/1.1\r\nHost: web.ai:80\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n";
  const auto requests = [&](int count) {
    for (int i = 0; i < count; ++i) {
      send_all(client, ask_text);
      char buffer[4096];
      size_t have = 0;
      while (std::string_view(buffer, have).find("hello") == std::string_view::npos) {
        const ssize_t n = ::recv(client.get(), buffer + have, sizeof buffer - have, 0);
        ASSERT_GT(n, 0) << i;
        have += static_cast<size_t>(n);
      }
      ASSERT_TRUE(std::string_view(buffer, have).starts_with("HTTP/1.1 200 "));
    }
  };
  const auto taken = [](Worker&) { return allocations; };
  requests(200);
  const size_t a_before = a_->on_worker(taken), b_before = b_->on_worker(taken);
  requests(10000);
  EXPECT_EQ(a_->on_worker(taken) - a_before, 0u);
  EXPECT_EQ(b_->on_worker(taken) - b_before, 0u);
  client.reset();
  origin.join();
}

}  // namespace
}  // namespace sallyport::proxy::testing
