// What a shim's own namespaces hold: nothing of the host that it does not need.
#include "runtime/shim_setup.h"

#include <set>

#include "net/netns.h"
#include "runtime/runtime_fixture.h"

namespace sallyport::runtime {
namespace {

class ShimSetupTest : public RuntimeFixture {};

TEST_F(ShimSetupTest, KeepsNoMountOfTheHostAlive) {
  // A kept network namespace is a mount; a copy of it in each shim would keep it for ever.
  auto space = net::create_netns();
  ASSERT_TRUE(space);
  std::string kept = state_dir_ + "/kept-netns";
  ASSERT_TRUE(net::keep_netns(space->get(), kept));
  PodRequest made = request({shell("sleep 1000")});
  made.expose = {"/usr/lib"};
  auto sandbox = runtime_->create(made);
  ASSERT_TRUE(sandbox) << sandbox.error().message;
  uids_.push_back(sandbox->uid);
  std::set<std::string> points;
  for (const std::string& line :
       split(*read_file("/proc/" + std::to_string(sandbox->shim) + "/mountinfo"), '\n')) {
    std::vector<std::string> fields = split(line, ' ');
    if (fields.size() > 4) points.insert(fields[4]);
  }
  std::set<std::string> expected{"/", "/host", "/state", "/shm", "/proc"};
  for (const std::string& point : points)
    if (point.starts_with("/exposed/")) expected.insert(point);
  EXPECT_EQ(points, expected);
  EXPECT_GT(expected.size(), 5u);
  EXPECT_TRUE(net::drop_netns(kept));
}

TEST_F(ShimSetupTest, LoopbackIsUpAndNothingElseIsThere) {
  EXPECT_EQ(output(shell("cat /proc/net/if_inet6 | awk '{print $1, $6}'; "
                         "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '")),
            "00000000000000000000000000000001 lo\nlo\n");
}

}  // namespace
}  // namespace sallyport::runtime
