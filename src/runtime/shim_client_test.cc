// Commands in running containers, and a shim's behaviour towards who asks for them.
#include "runtime/shim_client.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#include <future>
#include <thread>

#include "runtime/protocol.h"
#include "runtime/runtime_fixture.h"

namespace sallyport::runtime {
namespace {

class ShimClientTest : public RuntimeFixture {
 protected:
  std::string running(k8s::Container container = shell("sleep 1000")) {
    std::string uid = launch(request({std::move(container)}));
    EXPECT_TRUE(wait_for([&] { return state(uid).ready(); })) << describe(uid);
    return uid;
  }

  // Exit status and output of a command; `input` is its standard input.
  std::pair<int, std::string> run(const std::string& uid, const std::vector<std::string>& command,
                                  const std::string& input = "") {
    int in[2], out[2];
    EXPECT_EQ(::pipe2(in, O_CLOEXEC), 0);
    EXPECT_EQ(::pipe2(out, O_CLOEXEC), 0);
    Fd in_read(in[0]), in_write(in[1]), out_read(out[0]), out_write(out[1]);
    EXPECT_EQ(::write(in_write.get(), input.data(), input.size()),
              static_cast<ssize_t>(input.size()));
    in_write.reset();
    auto status =
        runtime_->exec(uid, "main", command, in_read.get(), out_write.get(), out_write.get());
    out_write.reset();
    std::string text;
    char bytes[4096];
    for (ssize_t n = 0; (n = ::read(out_read.get(), bytes, sizeof bytes)) > 0;)
      text.append(bytes, static_cast<size_t>(n));
    return {status ? *status : -1, status ? text : status.error().message};
  }
};

using Outcome = std::pair<int, std::string>;

TEST_F(ShimClientTest, RunsWithTheContainersIdentityAndFiles) {
  k8s::Container container = shell("echo hidden > /tmp/mark; sleep 1000");
  container.security.run_as_user = 1000;
  container.security.allow_privilege_escalation = false;
  container.resources.pids_limit = 50;
  k8s::EnvVar word;
  word.name = "WORD";
  word.value = "from the pod";
  container.env = {word};
  std::string uid = running(container);
  wait_for([&] { return run(uid, {"test", "-e", "/tmp/mark"}).first == 0; });
  EXPECT_EQ(run(uid, {"cat", "/tmp/mark"}), (Outcome{0, "hidden\n"}));
  EXPECT_EQ(
      run(uid, {"sh", "-c",
                "id -u; echo $WORD; grep -E '^(CapBnd|NoNewPrivs|Seccomp):' "
                "/proc/self/status | tr '\\t' ' '; hostname; exit 9"}),
      (Outcome{9,
               "1000\nfrom the pod\nCapBnd: 00000000a80425fb\nNoNewPrivs: 1\nSeccomp: 2\npod1\n"}));
  EXPECT_EQ(run(uid, {"cat"}, "through the pipe"), (Outcome{0, "through the pipe"}));
  // In the same cgroup as the container: its limit counts.
  EXPECT_EQ(run(uid, {"sh", "-c", "cat /proc/self/cgroup | grep -c /main$"}).second,
            run(uid, {"sh", "-c",
                      "cat /proc/1/cgroup > /dev/null; cat /proc/$(pgrep -o sleep)/cgroup | "
                      "grep -c /main$"})
                .second);
}

TEST_F(ShimClientTest, ReportsSignalsAndFailures) {
  std::string uid = running();
  EXPECT_EQ(run(uid, {"sh", "-c", "kill -9 $$"}).first, 137);
  EXPECT_EQ(run(uid, {"no-such"}), (Outcome{-1, "exec no-such: not found in PATH"}));
  EXPECT_EQ(run(uid, {}).second, "no command");
  auto missing = runtime_->exec(uid, "other", {"true"}, 0, 1, 2);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "no container other");
  EXPECT_EQ(runtime_->exec("absent", "main", {"true"}, 0, 1, 2).error().code, Code::kNotFound);
}

TEST_F(ShimClientTest, LongCommandsAndManyAtOnce) {
  std::string uid = running();
  std::string word(100'000, 'x');
  EXPECT_EQ(run(uid, {"sh", "-c", "echo ${#1}", "sh", word}), (Outcome{0, "100000\n"}));
  std::vector<std::future<Outcome>> all;
  for (int i = 0; i < 20; ++i)
    all.push_back(std::async(std::launch::async, [&, i] {
      return run(uid, {"sh", "-c", "sleep 0.1; echo $1; exit $1", "sh", std::to_string(i)});
    }));
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(all[static_cast<size_t>(i)].get(), (Outcome{i, std::to_string(i) + "\n"}));
}

TEST_F(ShimClientTest, TheCommandEndsWithItsCaller) {
  std::string uid = running();
  Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  int fds[3] = {null.get(), null.get(), null.get()};
  auto socket = begin_exec(state_dir_ + "/pods/" + uid, "main", {"sleep", "4242"}, fds);
  ASSERT_TRUE(socket);
  auto present = [&] {
    return run(uid, {"sh", "-c", "grep -lz '^4242' /proc/[0-9]*/cmdline"}).first == 0;
  };
  ASSERT_TRUE(wait_for(present));
  socket->reset();
  EXPECT_TRUE(wait_for([&] { return !present(); }));
}

TEST_F(ShimClientTest, ACommandIsCancelled) {
  std::string uid = running();
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  Fd cancel(ends[0]), caller(ends[1]);
  auto status = std::async(std::launch::async, [&] {
    return runtime_->exec(uid, "main", {"sleep", "4243"}, 0, 1, 2, cancel.get());
  });
  auto present = [&] {
    return run(uid, {"sh", "-c", "grep -lz '^4243' /proc/[0-9]*/cmdline"}).first == 0;
  };
  ASSERT_TRUE(wait_for(present));
  caller.reset();
  auto result = status.get();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kUnavailable);
  EXPECT_TRUE(wait_for([&] { return !present(); }));
}

TEST_F(ShimClientTest, TheCommandEndsWithItsContainer) {
  std::string uid = running();
  auto status = std::async(std::launch::async, [&] { return run(uid, {"sleep", "1000"}); });
  ::usleep(200'000);
  ASSERT_TRUE(runtime_->stop(uid, 0));
  EXPECT_EQ(status.get().first, 137);
  EXPECT_NE(run(uid, {"true"}).second.find("is not running"), std::string::npos);
}

TEST_F(ShimClientTest, NonsenseOnTheSocketIsRefusedAndHarmless) {
  std::string uid = running();
  std::string dir = state_dir_ + "/pods/" + uid;
  struct stat st{};
  ASSERT_EQ(::stat((dir + "/shim.sock").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600u);
  for (std::string text : {"", "I", "I{", "M", "X{}", "I[1,2]", "I{\"op\":\"start\"}",
                           "I{\"op\":\"exec\"}", "I{\"op\":7}", "I\xff\xfe"}) {
    auto socket = connect_in(dir, "shim.sock");
    ASSERT_TRUE(socket);
    if (!text.empty())
      EXPECT_EQ(::send(socket->get(), text.data(), text.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(text.size()));
  }
  codec::Value unknown = codec::Value::map();
  unknown.set("op", "explode");
  EXPECT_EQ(ask_shim(dir, unknown).error().message, "unknown request \"explode\"");
  // More connections than the shim serves at a time, all silent.
  std::vector<Fd> idle;
  for (int i = 0; i < 60; ++i) {
    auto socket = connect_in(dir, "shim.sock");
    ASSERT_TRUE(socket);
    idle.push_back(std::move(*socket));
  }
  EXPECT_EQ(run(uid, {"true"}).first, 0);
}

TEST_F(ShimClientTest, MapsPidsOfThePodToTheHost) {
  std::string uid = running();
  auto shim = live_shim(state_dir_ + "/pods/" + uid);
  ASSERT_TRUE(shim);
  std::map<pid_t, pid_t> pids = host_pids(shim->pid);
  ASSERT_EQ(pids.size(), 1u);
  EXPECT_EQ(pids.begin()->second, state(uid).containers[0].pid);
  EXPECT_LT(pids.begin()->first, 100);
  EXPECT_TRUE(open_pidfd(*shim));
  shim->start_time += 1;
  EXPECT_EQ(open_pidfd(*shim).error().code, Code::kNotFound) << "another process of that pid";
}

}  // namespace
}  // namespace sallyport::runtime
