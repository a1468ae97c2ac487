// What a container sees and what it cannot reach, with real pods.
#include "runtime/container_root.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "runtime/runtime_fixture.h"

namespace sallyport::runtime {
namespace {

class ContainerRootTest : public RuntimeFixture {};

TEST_F(ContainerRootTest, WritesStayInTheOverlay) {
  std::string name = "/usr/local/" + id_;
  EXPECT_EQ(output(shell("echo mine > " + name + " && cat " + name +
                         "; rm -rf /etc/passwd; "
                         "mkdir /newdir && ls -d /newdir; test -e /etc/passwd || echo gone")),
            "mine\n/newdir\ngone\n");
  EXPECT_FALSE(exists(name));
  EXPECT_FALSE(exists("/newdir"));
  EXPECT_TRUE(exists("/etc/passwd"));
  EXPECT_EQ(output(shell("test -e " + name + " || echo fresh")), "fresh\n") << "not shared by pods";
}

TEST_F(ContainerRootTest, MasksAndGeneratedFiles) {
  ASSERT_TRUE(make_dirs("/var/lib/sallyport/" + id_));
  std::string seen =
      output(shell("for d in /run /root /home /tmp /var/tmp /sys/fs /var/lib/sallyport; do echo $d "
                   "$(ls -A $d | wc -l); done\n"
                   "cat /etc/hostname /etc/resolv.conf; grep pod1 /etc/hosts; hostname\n"
                   "stat -c %a /tmp"));
  ::rmdir(("/var/lib/sallyport/" + id_).c_str());
  ::rmdir("/var/lib/sallyport");
  EXPECT_EQ(seen,
            "/run 0\n/root 0\n/home 0\n/tmp 0\n/var/tmp 0\n/sys/fs 0\n/var/lib/sallyport 0\n"
            "pod1\nsearch space.svc.cluster.local svc.cluster.local cluster.local\n"
            "nameserver 198.19.0.10\noptions ndots:5\n"
            "198.18.0.9\tpod1\nfd00::9\tpod1\npod1\n1777\n");
}

TEST_F(ContainerRootTest, DevicesAndKernelViews) {
  std::string seen = output(
      shell("echo x > /dev/null && head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c\n"
            "ls /dev | tr '\\n' ' '; echo\n"
            "echo hi > /dev/shm/a && cat /dev/shm/a; echo out > /dev/stdout\n"
            "ls /sys/class/net\n"
            "touch /sys/x 2>/dev/null || echo sys is read-only\n"
            "echo 1 2>/dev/null > /proc/sys/kernel/panic || echo sysctl is read-only\n"
            "wc -c < /proc/interrupts\n"
            "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"));
  EXPECT_EQ(seen,
            "4\n4\nfd full null ptmx pts random shm stderr stdin stdout tty urandom zero \n"
            "hi\nout\nlo\nsys is read-only\nsysctl is read-only\n0\n0\n");
}

TEST_F(ContainerRootTest, ReadOnlyRootFilesystem) {
  PodRequest made =
      request({shell("touch /usr/a 2>/dev/null || echo root; touch /tmp/a 2>/dev/null || echo tmp; "
                     "touch /etc/hosts 2>/dev/null || echo etc; touch /data/a && echo data; echo x "
                     "> /dev/null && echo dev")});
  pod_->spec.containers[0].security.read_only_root_filesystem = true;
  pod_->spec.containers[0].volume_mounts = {{"scratch", "/data", "", false}};
  pod_->spec.volumes.resize(1);
  pod_->spec.volumes[0].name = "scratch";
  EXPECT_EQ(output(made), "root\ntmp\netc\ndata\ndev\n");
}

TEST_F(ContainerRootTest, ExposedDirectoriesAreReadOnlyAndLive) {
  char pattern[] = "/tmp/sallyport-expose-XXXXXX";
  ASSERT_TRUE(::mkdtemp(pattern));
  std::string dir = pattern;
  ASSERT_TRUE(write_file_atomic(dir + "/file", "first\n", 0644));
  PodRequest made =
      request({shell("cat " + dir + "/file /mnt/seen/file; touch " + dir +
                     "/x 2>/dev/null || echo read-only; "
                     "until grep -q second /mnt/seen/file; do sleep 0.02; done; echo saw it")});
  made.expose = {dir};
  made.extra_mounts = {{dir, "/mnt/seen"}, {dir + "/file", "/etc/one-file"}};
  std::string uid = launch(made);
  ASSERT_TRUE(wait_for([&] { return log(uid) == "first\nfirst\nread-only\n"; })) << describe(uid);
  ASSERT_TRUE(write_file_atomic(dir + "/file", "second\n", 0644));  // by rename
  EXPECT_TRUE(wait_phase(uid, "Succeeded"));
  EXPECT_EQ(log(uid), "first\nfirst\nread-only\nsaw it\n");
  EXPECT_TRUE(remove_tree(dir));
}

TEST_F(ContainerRootTest, AMissingExposedDirectoryIsNamed) {
  PodRequest made = request({shell("true")});
  made.expose = {"/no/such/directory"};
  auto sandbox = runtime_->create(made);
  ASSERT_FALSE(sandbox);
  EXPECT_NE(sandbox.error().message.find("expose /no/such/directory"), std::string::npos)
      << sandbox.error().message;
  EXPECT_FALSE(exists(state_dir_ + "/pods/uid-1"));
}

TEST_F(ContainerRootTest, ThisProgramIsInThePath) {
  PodRequest made = request({shell("sallyport")});
  made.with_sallyport_binary = true;
  EXPECT_EQ(output(made), "test shim\n");
}

TEST_F(ContainerRootTest, AVolumeLinkDoesNotLeadAMountOutside) {
  // The first container plants a link where the second has a mount path and a subPath.
  PodRequest made = request({shell("cat /data/out/probe 2>/dev/null; echo done", "second")});
  k8s::Container first = shell("ln -s /etc /data/out; ln -s /etc /data/sub", "first");
  first.volume_mounts = {{"data", "/data", "", false}};
  pod_->spec.init_containers = {first};
  pod_->spec.containers[0].volume_mounts = {{"data", "/data", "", false},
                                            {"data", "/mnt", "sub", false}};
  pod_->spec.volumes.resize(1);
  pod_->spec.volumes[0].name = "data";
  std::string uid = launch(made);
  ASSERT_TRUE(wait_phase(uid, "Failed"));
  EXPECT_NE(state(uid).containers[1].reason.find("StartError: mount /mnt"), std::string::npos)
      << describe(uid);
}

}  // namespace
}  // namespace sallyport::runtime
