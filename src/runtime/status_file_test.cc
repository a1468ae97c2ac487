#include "runtime/status_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/fs.h"
#include "codec/json.h"

namespace sallyport::runtime {
namespace {

TEST(StatusFileTest, SurvivesTheFile) {
  PodState state;
  state.uid = "u";
  state.phase = "Running";
  ContainerState c;
  c.name = "c";
  c.phase = ContainerState::Phase::kTerminated;
  c.reason = "Error";
  c.last_reason = "OOMKilled";
  c.exit_code = 137;
  c.signal = 9;
  c.restarts = 4;
  c.pid = 77;
  c.started_ms = 1'700'000'000'000;
  c.finished_ms = 1'700'000'000'001;
  c.init = true;
  state.containers = {c};
  std::string path = "/tmp/sallyport-status-" + std::to_string(::getpid());
  ASSERT_TRUE(write_state(path, state));
  auto read = read_state(path);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(codec::write_json(encode_state(*read)), codec::write_json(encode_state(state)));
  EXPECT_EQ(read->containers[0].signal, 9);
  EXPECT_TRUE(read->containers[0].init);
  ::unlink(path.c_str());
  EXPECT_FALSE(read_state(path));
}

TEST(StatusFileTest, OtherVersionsAndNonsenseAreErrors) {
  for (const char* text :
       {"{}", "{\"schema\":2}", "{\"schema\":1,\"containers\":[{\"phase\":9}]}", "[]"})
    EXPECT_FALSE(decode_state(*codec::parse_json(text))) << text;
}

TEST(PodStateTest, ReadyNeedsEveryContainerAndNoInit) {
  PodState state;
  EXPECT_FALSE(state.ready());
  ContainerState init;
  init.init = true;
  init.phase = ContainerState::Phase::kTerminated;
  ContainerState running;
  running.phase = ContainerState::Phase::kRunning;
  running.ready = true;
  state.containers = {init};
  EXPECT_FALSE(state.ready());
  state.containers = {init, running};
  EXPECT_TRUE(state.ready());
  running.ready = false;
  state.containers.push_back(running);
  EXPECT_FALSE(state.ready());
}

}  // namespace
}  // namespace sallyport::runtime
