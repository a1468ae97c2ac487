#include "node/echo.h"

#include <signal.h>
#include <sys/wait.h>

#include "node/test_pods.h"

namespace sallyport::node {
namespace {

TEST(EchoArguments, WrongOnesAreRefused) {
  for (const char* bad : {"0", "65536", "http", "-1", ""}) {
    std::string program = "echo", argument = bad;
    char* argv[] = {program.data(), argument.data(), nullptr};
    EXPECT_EQ(echo_main(2, argv), 2) << bad;
  }
}

// The test program itself is the server's program: with "echo" as argument it is one
// (main_test.cc).
class EchoProcessTest : public NetworkTest {};

TEST_F(EchoProcessTest, ThePodReachesEveryOutsideAddressUntilTheServerEnds) {
  auto pid = start_echo(network_->outside_netns(), "/proc/self/exe");
  ASSERT_TRUE(pid) << pid.error().message;
  TestPod pod = start_pod(*network_, "veth-a");
  for (const char* text : {"198.19.128.1", "198.19.200.7", "fd00:5a11:0:2::99"})
    for (uint16_t port : {7, 53, 80, 443, 9000})
      for (int type : {SOCK_STREAM, SOCK_DGRAM})
        EXPECT_EQ(ask_from(pod.netns.get(), type, *Ip::parse(text), port), "?")
            << text << " port " << port << " type " << type;
  EXPECT_EQ(ask_from(pod.netns.get(), SOCK_STREAM, *Ip::parse("198.19.128.1"), 6),
            "error: Connection refused");
  ASSERT_EQ(::kill(*pid, SIGTERM), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(*pid, &status, 0), *pid);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(ask_from(pod.netns.get(), SOCK_STREAM, *Ip::parse("198.19.128.1"), 80),
            "error: Connection refused");
}

TEST_F(EchoProcessTest, AProgramThatIsNoServerIsReported) {
  auto pid = start_echo(network_->outside_netns(), "/bin/false");
  ASSERT_FALSE(pid);
  EXPECT_FALSE(start_echo(network_->outside_netns(), "/nowhere/program"));
}

}  // namespace
}  // namespace sallyport::node
