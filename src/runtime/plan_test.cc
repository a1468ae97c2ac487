#include "runtime/plan.h"

#include <gtest/gtest.h>

#include "codec/json.h"

namespace sallyport::runtime {
namespace {

Plan full_plan() {
  Plan plan;
  plan.uid = "u";
  plan.ns = "space";
  plan.name = "pod";
  plan.hostname = "host";
  plan.hosts_file = "hosts\n";
  plan.resolv_conf = "resolv\n";
  plan.restart_policy = k8s::RestartPolicy::kOnFailure;
  plan.grace_seconds = 7;
  plan.backoff_ms = 11;
  plan.expose = {"/a"};
  plan.extra = {{"/b", "/c"}};
  plan.masks = {"/d"};
  plan.binary = "/bin/x";
  plan.pod_ips = {*Ip::parse("198.18.0.9"), *Ip::parse("fd00::9")};
  PlannedVolume volume;
  volume.name = "v";
  volume.files_only = true;
  volume.fs_group = 3;
  volume.files = {{"deep/file", std::string("\0\xff\n", 3), 0440}};
  plan.volumes = {volume};
  PlannedContainer c;
  c.name = "c";
  c.init = true;
  c.error = "why";
  c.argv = {"a", "\xff"};
  c.env = {"A=\xfe"};
  c.cwd = "/w";
  c.uid = 5;
  c.groups = {6, 7};
  c.capabilities = 0x1ffffffffffULL;
  c.no_new_privs = c.read_only_root = true;
  c.mounts = {{"v", "/m", "s", true}};
  c.limits = {1, {}, 3};
  k8s::Probe probe;
  probe.kind = k8s::Probe::Kind::kExec;
  probe.command = {"x"};
  probe.headers = {{"H", "v"}};
  probe.period_seconds = 9;
  c.liveness = probe;
  plan.containers = {c};
  return plan;
}

TEST(PlanTest, SurvivesJson) {
  std::string text = codec::write_json(encode_plan(full_plan()));
  auto plan = decode_plan(*codec::parse_json(text));
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(codec::write_json(encode_plan(*plan)), text);
  EXPECT_EQ(plan->volumes[0].files[0].data, std::string("\0\xff\n", 3));
  EXPECT_EQ(plan->containers[0].argv[1], "\xff");
  EXPECT_EQ(plan->containers[0].capabilities, 0x1ffffffffffULL);
  EXPECT_FALSE(plan->containers[0].gid);
  EXPECT_EQ(plan->containers[0].limits, (PlannedLimits{1, {}, 3}));
  EXPECT_EQ(plan->containers[0].liveness.value_or(k8s::Probe{}).period_seconds, 9);
  EXPECT_FALSE(plan->containers[0].readiness);
  EXPECT_EQ(plan->pod_ips.size(), 2u);
}

TEST(PlanTest, DamagedPlansAreErrors) {
  EXPECT_FALSE(decode_plan(codec::Value::list()));
  EXPECT_FALSE(decode_plan(codec::Value::map()));
  auto damaged = [](const char* key, codec::Value value) {
    codec::Value plan = encode_plan(full_plan());
    plan.set(key, std::move(value));
    return decode_plan(plan).has_value();
  };
  EXPECT_FALSE(damaged("restartPolicy", codec::Value::integer(9)));
  EXPECT_FALSE(damaged("podIPs", *codec::parse_json("[\"1.2.3\"]")));
  EXPECT_FALSE(damaged("containers", *codec::parse_json("[{}]")));
  EXPECT_FALSE(damaged("containers", *codec::parse_json("[{\"name\":\"x\",\"argv\":[\"!\"]}]")));
  EXPECT_FALSE(
      damaged("containers", *codec::parse_json("[{\"name\":\"x\",\"liveness\":{\"kind\":7}}]")));
  EXPECT_TRUE(damaged("name", codec::Value::string("other")));
}

}  // namespace
}  // namespace sallyport::runtime
