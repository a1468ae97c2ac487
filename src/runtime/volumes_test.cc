#include "runtime/volumes.h"

#include "runtime/runtime_fixture.h"

namespace sallyport::runtime {
namespace {

class VolumesTest : public RuntimeFixture {
 protected:
  k8s::Volume& add_volume(const std::string& name, k8s::Volume::Kind kind,
                          const std::string& source = "") {
    k8s::Volume volume;
    volume.name = name;
    volume.kind = kind;
    volume.source = source;
    pod_->spec.volumes.push_back(volume);
    return pod_->spec.volumes.back();
  }
  void mount(const std::string& name, const std::string& path, const std::string& sub_path = "",
             bool read_only = false) {
    for (k8s::Container& c : pod_->spec.containers)
      c.volume_mounts.push_back({name, path, sub_path, read_only});
  }
};

TEST_F(VolumesTest, ConfigMapsAndSecretsWithModesAndItems) {
  PodRequest made = request(
      {shell("cat /config/a /config/b; stat -c %a /config/a /secret/deep/er/key /secret/plain\n"
             "cat /secret/deep/er/key; ls /secret; touch /config/x 2>/dev/null || echo read-only\n"
             "cat /etc/one; ls /etc/passwd; wc -c < /config/binary")});
  made.config_maps["c"] = {{"a", "A\n"}, {"b", "B\n"}, {"binary", std::string("\0\xff\xfe", 3)}};
  made.secrets["s"] = {{"k", "word\n"}, {"p", "plain\n"}, {"unused", "no\n"}};
  add_volume("config", k8s::Volume::Kind::kConfigMap, "c");
  k8s::Volume& secret = add_volume("secret", k8s::Volume::Kind::kSecret, "s");
  secret.default_mode = 0440;
  secret.items = {{"k", "deep/er/key", 0400}, {"p", "plain", {}}};
  mount("config", "/config");
  mount("secret", "/secret");
  mount("config", "/etc/one", "a");
  EXPECT_EQ(output(made), "A\nB\n644\n400\n440\nword\ndeep\nplain\nread-only\nA\n/etc/passwd\n3\n");
}

TEST_F(VolumesTest, EmptyDirIsSharedAndSurvivesARestart) {
  PodRequest made = request(
      {shell("test -e /data/mark && { cat /data/sub/x; exit 0; }; touch /data/mark; exit 1")},
      k8s::RestartPolicy::kOnFailure);
  k8s::Container init =
      shell("mkdir /data/sub; echo from init > /data/sub/x; stat -c %a /data", "init");
  pod_->spec.init_containers = {init};
  add_volume("data", k8s::Volume::Kind::kEmptyDir);
  mount("data", "/data");
  pod_->spec.init_containers[0].volume_mounts = pod_->spec.containers[0].volume_mounts;
  std::string uid = launch(made);
  ASSERT_TRUE(wait_phase(uid, "Succeeded"));
  EXPECT_EQ(log(uid), "from init\n");
  EXPECT_EQ(log(uid, "init"), "777\n");
  EXPECT_EQ(state(uid).containers[1].restarts, 1);
}

TEST_F(VolumesTest, SizeLimitAndMemoryMedium) {
  PodRequest made =
      request({shell("head -c 3000000 /dev/zero > /small/x 2>/dev/null || echo full; df -T /small "
                     "/mem | tail -2 | "
                     "awk '{print $2}'")});
  add_volume("small", k8s::Volume::Kind::kEmptyDir).size_limit = 1 << 20;
  add_volume("mem", k8s::Volume::Kind::kEmptyDir).in_memory = true;
  mount("small", "/small");
  mount("mem", "/mem");
  EXPECT_EQ(output(made), "full\ntmpfs\ntmpfs\n");
}

TEST_F(VolumesTest, FsGroupOwnsVolumes) {
  PodRequest made = request({shell(
      "stat -c '%g %a' /data /config/a; echo x > /data/x && stat -c %g /data/x; cat /config/a")});
  made.config_maps["c"] = {{"a", "A\n"}};
  add_volume("config", k8s::Volume::Kind::kConfigMap, "c").default_mode = 0400;
  add_volume("data", k8s::Volume::Kind::kEmptyDir);
  mount("config", "/config");
  mount("data", "/data");
  pod_->spec.security.fs_group = 4321;
  pod_->spec.security.run_as_user = 1000;
  EXPECT_EQ(output(made), "4321 2777\n4321 440\n4321\nA\n");
}

TEST_F(VolumesTest, SubPathAndReadOnlyMounts) {
  PodRequest made = request(
      {shell("echo x > /rw/file; cat /ro/dir/file; touch /ro/y 2>/dev/null || echo read-only")});
  add_volume("data", k8s::Volume::Kind::kEmptyDir);
  mount("data", "/rw", "dir");
  mount("data", "/ro", "", true);
  EXPECT_EQ(output(made), "x\nread-only\n");
}

TEST_F(VolumesTest, MissingSourcesAreNamedUnlessOptional) {
  PodRequest made = request({shell("ls /config | wc -l")});
  add_volume("config", k8s::Volume::Kind::kConfigMap, "absent").optional = true;
  mount("config", "/config");
  EXPECT_EQ(output(made), "0\n");
  made = request({shell("true")});
  add_volume("config", k8s::Volume::Kind::kSecret, "absent");
  std::string uid = launch(made);
  ASSERT_TRUE(wait_phase(uid, "Failed"));
  EXPECT_EQ(state(uid).containers[0].reason,
            "StartError: volume config: Secret absent does not exist");
}

}  // namespace
}  // namespace sallyport::runtime
