// Requests that are cancelled before they leave: nothing of them may reach later ones.
#include "http/test_h2.h"

namespace sallyport::http {
namespace {

using namespace testing;

TEST(Http2Cancel, LaterRequestsGetTheirOwnAnswers) {
  for (const Body body : {Body::kNone, Body::kStream}) {
    Pair p;
    const bool end = body == Body::kNone;
    p.client_host.start(*p.client, request("POST", "/first", body), end)->stream->reset(8);
    p.run();
    EXPECT_EQ(p.server_host.log.text(), "") << "a request that was taken back went out";
    EXPECT_EQ(p.client->active(), 0u);

    auto* one = p.client_host.start(*p.client, request("GET", "/one"), true);
    auto* two = p.client_host.start(*p.client, request("GET", "/two"), true);
    ASSERT_TRUE(one != nullptr && two != nullptr);
    EXPECT_NE(one->stream, two->stream) << "two requests with one state";
    p.run();
    ASSERT_EQ(p.server_host.requests.size(), 2u);
    ResponseHead head;
    head.status = 200;
    p.server_host.requests[0]->stream->send_response(head);
    p.run();
    EXPECT_TRUE(one->ended) << "the first answer went elsewhere";
    EXPECT_FALSE(two->ended) << "an answer went to another request";
    p.server_host.requests[1]->stream->send_response(head);
    p.run();
    EXPECT_TRUE(two->ended);
    EXPECT_EQ(p.client->active(), 0u);
  }
}

TEST(Http2Cancel, ManyAtOnce) {
  Pair p;
  p.server_host.answer_at_end = true;
  for (int round = 0; round < 20; ++round) {
    std::vector<ClientRecorder::Response*> kept;
    for (int i = 0; i < 20; ++i) {
      auto* r = p.client_host.start(*p.client, request("GET", "/"), true);
      ASSERT_NE(r, nullptr);
      if (i % 3 == 0)
        r->stream->reset(8);
      else
        kept.push_back(r);
    }
    for (size_t i = 1; i < kept.size(); ++i) EXPECT_NE(kept[0]->stream, kept[i]->stream);
    p.run();
    for (auto* r : kept) EXPECT_TRUE(r->ended && !r->gone);
    EXPECT_EQ(p.client->active(), 0u);
  }
}

}  // namespace
}  // namespace sallyport::http
