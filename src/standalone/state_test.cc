#include "standalone/state.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/fs.h"

namespace sallyport::standalone {
namespace {

class State : public testing::Test {
 protected:
  std::string path_ = "/tmp/sallyport-state-test-" + std::to_string(::getpid());
  void TearDown() override { ::unlink(path_.c_str()); }
};

TEST_F(State, ComesBackAsItWas) {
  RunState state;
  state.gate_layout = 3;
  state.manifest_dir = "/srv/with \"quotes\"";
  state.next_endpoint_id = 17;
  state.rules = "line one\nline two";
  PodRecordState pod;
  pod.ns = "a";
  pod.name = "b";
  pod.uid = "u";
  pod.spec_hash = "h";
  pod.endpoint_id = 16;
  pod.v4 = *Ip::parse("198.18.0.9");
  pod.v6 = *Ip::parse("fd00::9");
  pod.link = "sp10";
  pod.ifindex = 44;
  pod.stopping = true;
  pod.prepared = true;
  pod.captured = true;
  pod.references = {{"ConfigMap/c", "12ab"}, {"Secret/s", "34cd"}};
  state.pods.push_back(pod);
  state.proxies = {{"node", {4711, 99}}};
  ASSERT_TRUE(save_state(path_, state));
  auto back = load_state(path_);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->manifest_dir, state.manifest_dir);
  EXPECT_EQ(back->proxies, state.proxies);
  ASSERT_EQ(back->pods.size(), 1U);
  EXPECT_TRUE(back->pods[0].captured);
  EXPECT_EQ(back->next_endpoint_id, 17U);
  EXPECT_EQ(back->rules, state.rules);
  ASSERT_EQ(back->pods.size(), 1U);
  EXPECT_EQ(back->pods[0].v6, pod.v6);
  EXPECT_EQ(back->pods[0].ifindex, 44);
  EXPECT_TRUE(back->pods[0].stopping);
  EXPECT_TRUE(back->pods[0].prepared);
  EXPECT_EQ(back->pods[0].references, pod.references);
}

TEST_F(State, ToldApartFromNoStateAndFromOtherVersions) {
  EXPECT_EQ(load_state(path_).error().code, Code::kNotFound);
  ASSERT_TRUE(write_file_atomic(path_, "{\"version\": 99}"));
  auto other = load_state(path_);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Code::kConflict);
  EXPECT_NE(other.error().message.find("version 99"), std::string::npos);
  ASSERT_TRUE(write_file_atomic(path_, "{\"version\": 1, \"pods\": [{\"name\": \"x\"}]}"));
  EXPECT_FALSE(load_state(path_)) << "a damaged entry is not taken over";
  ASSERT_TRUE(write_file_atomic(path_, "{\"version\": 1,"));
  EXPECT_FALSE(load_state(path_));
}

}  // namespace
}  // namespace sallyport::standalone
