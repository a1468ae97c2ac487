#include "runtime/plan_build.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace sallyport::runtime {
namespace {

class PlanBuildTest : public ::testing::Test {
 protected:
  void SetUp() override {
    pod_->meta.name = "web-0";
    pod_->meta.ns = "space";
    pod_->meta.uid = "u-1";
    k8s::Container container;
    container.name = "c";
    container.command = {"/bin/true"};
    pod_->spec.containers = {container};
    request_.pod = pod_;
    request_.hostname = "web-0";
    request_.pod_ips = {*Ip::parse("198.18.0.9")};
    request_.dns_servers = {"198.19.0.10"};
    request_.dns_searches = {"space.svc.cluster.local", "cluster.local"};
  }
  Plan plan() {
    auto made = make_plan(request_, {"/run/sallyport/x", "/proc/self/exe", 10'000});
    EXPECT_TRUE(made) << made.error().message;
    return made ? *made : Plan{};
  }
  k8s::Container& container() { return pod_->spec.containers[0]; }
  std::string error() { return plan().containers[0].error; }

  std::shared_ptr<k8s::Pod> pod_ = std::make_shared<k8s::Pod>();
  PodRequest request_;
};

TEST_F(PlanBuildTest, NamesAndFiles) {
  pod_->spec.subdomain = "web";
  Plan made = plan();
  EXPECT_EQ(made.hosts_file,
            "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
            "198.18.0.9\tweb-0.web.space.svc.cluster.local\tweb-0\n");
  EXPECT_EQ(
      made.resolv_conf,
      "search space.svc.cluster.local cluster.local\nnameserver 198.19.0.10\noptions ndots:5\n");
  EXPECT_EQ(made.binary, "");
  request_.with_sallyport_binary = true;
  EXPECT_TRUE(plan().binary.ends_with("runtime_test")) << plan().binary;
}

TEST_F(PlanBuildTest, LongHostnamesAreCut) {
  request_.hostname = std::string(62, 'a') + "-tail";
  EXPECT_EQ(plan().hostname, std::string(62, 'a'));
  request_.hostname.clear();
  EXPECT_EQ(plan().hostname, "web-0");
}

TEST_F(PlanBuildTest, MasksAreNotRepeatedBelowHiddenDirectories) {
  EXPECT_EQ(plan().masks, std::vector<std::string>{"/var/lib/sallyport"});
  auto made = make_plan(request_, {"/srv/state/x", "/proc/self/exe", 1});
  EXPECT_EQ(made->masks, (std::vector<std::string>{"/var/lib/sallyport", "/srv/state/x"}));
}

TEST_F(PlanBuildTest, ContainerOverridesPod) {
  pod_->spec.security.run_as_user = 10;
  pod_->spec.security.run_as_group = 20;
  pod_->spec.security.run_as_non_root = true;
  pod_->spec.security.fs_group = 30;
  pod_->spec.security.supplemental_groups = {40};
  EXPECT_EQ(plan().containers[0].uid, 10);
  EXPECT_EQ(plan().containers[0].gid, 20);
  EXPECT_EQ(plan().containers[0].groups, (std::vector<int64_t>{40, 30}));
  container().security.run_as_user = 11;
  container().security.run_as_group = 21;
  EXPECT_EQ(plan().containers[0].uid, 11);
  EXPECT_EQ(plan().containers[0].gid, 21);
  container().security.run_as_user = 0;
  EXPECT_TRUE(error().starts_with("runAsNonRoot is set")) << error();
  container().security.run_as_non_root = false;
  EXPECT_EQ(error(), "");
  container().security.run_as_user = int64_t{1} << 40;
  EXPECT_TRUE(error().starts_with("securityContext: no such id")) << error();
}

TEST_F(PlanBuildTest, CommandsAndProbes) {
  container().args = {"$(HOSTNAME)"};
  EXPECT_EQ(plan().containers[0].argv, (std::vector<std::string>{"/bin/true", "web-0"}));
  k8s::Probe probe;
  probe.port.name = "web";
  container().readiness_probe = probe;
  EXPECT_EQ(error(), "probe: the container has no port named web");
  container().ports = {{"web", 8080, k8s::Protocol::kTcp}};
  EXPECT_EQ(plan().containers[0].readiness.value_or(k8s::Probe{}).port.number, 8080);
  container().working_dir = "relative";
  EXPECT_EQ(error(), "workingDir relative: expected an absolute path");
}

TEST_F(PlanBuildTest, OneBadContainerDoesNotStopTheOthers) {
  k8s::Container bad;
  bad.name = "bad";
  pod_->spec.containers.push_back(bad);
  k8s::Container init = container();
  init.name = "init";
  pod_->spec.init_containers = {init};
  Plan made = plan();
  ASSERT_EQ(made.containers.size(), 3u);
  EXPECT_TRUE(made.containers[0].init);
  EXPECT_EQ(made.containers[1].error, "");
  EXPECT_TRUE(made.containers[2].error.starts_with("no command"));
}

TEST_F(PlanBuildTest, Volumes) {
  k8s::Volume volume;
  volume.name = "v";
  volume.kind = k8s::Volume::Kind::kConfigMap;
  volume.source = "c";
  volume.default_mode = 0400;
  EXPECT_EQ(plan_volume(request_, volume).error().message, "volume v: ConfigMap c does not exist");
  request_.config_maps["c"] = {{"a", "1"}, {"b", "2"}};
  EXPECT_EQ(plan_volume(request_, volume)->files.size(), 2u);
  EXPECT_EQ(plan_volume(request_, volume)->files[0].mode, 0400u);
  volume.items = {{"b", "x/y", 0444}, {"none", "z", {}}};
  EXPECT_EQ(plan_volume(request_, volume).error().message, "volume v: ConfigMap c has no key none");
  volume.optional = true;
  auto made = plan_volume(request_, volume);
  ASSERT_EQ(made->files.size(), 1u);
  EXPECT_EQ(made->files[0].path, "x/y");
  EXPECT_EQ(made->files[0].mode, 0444u);
}

TEST_F(PlanBuildTest, UnusableRequests) {
  request_.pod.reset();
  EXPECT_FALSE(make_plan(request_, {"/run/x", "/proc/self/exe", 1}));
  request_.pod = pod_;
  pod_->spec.volumes.resize(1);
  pod_->spec.volumes[0].name = "../x";
  EXPECT_FALSE(make_plan(request_, {"/run/x", "/proc/self/exe", 1}));
}

}  // namespace
}  // namespace sallyport::runtime
