// securityContext, limits and environment as a container's process sees them.
#include "runtime/process_exec.h"

#include <sys/resource.h>

#include <algorithm>

#include "runtime/runtime_fixture.h"

namespace sallyport::runtime {
namespace {

class ProcessExecTest : public RuntimeFixture {
 protected:
  static std::string status_lines() {
    return "grep -E '^(Uid|Gid|Groups|Cap(Prm|Eff|Bnd|Inh|Amb)|NoNewPrivs|Seccomp):' "
           "/proc/self/status | tr -s '\\t ' ' '; ";
  }
};

TEST_F(ProcessExecTest, RootHasContainerdsDefaultCapabilities) {
  std::string got = output(shell(status_lines() + "id -u"));
  // CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT
  // MKNOD AUDIT_WRITE SETFCAP
  EXPECT_EQ(got,
            "Uid: 0 0 0 0\nGid: 0 0 0 0\nGroups: \nCapInh: 0000000000000000\n"
            "CapPrm: 00000000a80425fb\nCapEff: 00000000a80425fb\nCapBnd: 00000000a80425fb\n"
            "CapAmb: 0000000000000000\nNoNewPrivs: 0\nSeccomp: 2\n0\n");
}

TEST_F(ProcessExecTest, UserGroupsAndNoNewPrivileges) {
  PodRequest made = request({shell(status_lines() + "touch /usr/x 2>/dev/null || echo not root")});
  k8s::SecurityContext& pod = pod_->spec.security;
  pod.run_as_user = 1;
  pod.run_as_group = 5;
  pod.supplemental_groups = {4000};
  pod.fs_group = 4001;
  k8s::SecurityContext& own = pod_->spec.containers[0].security;
  own.run_as_user = 1234;
  own.run_as_non_root = true;
  own.allow_privilege_escalation = false;
  own.capabilities_drop = {"ALL"};
  own.capabilities_add = {"NET_BIND_SERVICE"};
  EXPECT_EQ(output(made),
            "Uid: 1234 1234 1234 1234\nGid: 5 5 5 5\nGroups: 4000 4001 \nCapInh: 0000000000000000\n"
            "CapPrm: 0000000000000000\nCapEff: 0000000000000000\nCapBnd: 0000000000000400\n"
            "CapAmb: 0000000000000000\nNoNewPrivs: 1\nSeccomp: 2\nnot root\n");
}

TEST_F(ProcessExecTest, DroppedAndAddedCapabilitiesOfRoot) {
  k8s::Container container = shell(
      "grep CapEff /proc/self/status | tr -s '\\t ' ' '; chown 1 /tmp 2>/dev/null || echo no "
      "chown; "
      "ip link set lo mtu 1280 && echo admin of its own network");
  container.security.capabilities_drop = {"CHOWN", "CAP_MKNOD"};
  container.security.capabilities_add = {"NET_ADMIN"};
  EXPECT_EQ(output(container), "CapEff: 00000000a00435fa\nno chown\nadmin of its own network\n");
}

TEST_F(ProcessExecTest, GroupAndHomeComeFromPasswd) {
  k8s::Container container = shell("id -u; id -g; echo $HOME");
  container.security.run_as_user = 33;  // www-data on Debian
  EXPECT_EQ(output(container), "33\n33\n/var/www\n");
}

TEST_F(ProcessExecTest, StartErrorsSayWhatIsWrong) {
  k8s::Container root = shell("true", "root");
  root.security.run_as_non_root = true;
  k8s::Container no_command;
  no_command.name = "empty";
  no_command.args = {"--flag"};
  k8s::Container unknown;
  unknown.name = "unknown";
  unknown.command = {"no-such-program"};
  k8s::Container directory;
  directory.name = "directory";
  directory.command = {"/etc"};
  k8s::Container powerful = shell("true", "powerful");
  powerful.security.capabilities_add = {"SYS_ADMIN"};
  k8s::Container bad_cwd = shell("true", "cwd");
  bad_cwd.working_dir = "/etc/passwd";
  std::string uid = launch(request({root, no_command, unknown, directory, powerful, bad_cwd}));
  ASSERT_TRUE(wait_phase(uid, "Failed"));
  PodState now = state(uid);
  const char* expected[] = {
      "StartError: runAsNonRoot is set, but the container would run as user 0",
      "StartError: no command: programs come from the host's file system",
      "StartError: exec no-such-program: not found in PATH",
      "StartError: exec /etc: Permission denied",
      "StartError: capability SYS_ADMIN cannot be added",
      "StartError: workingDir /etc/passwd: Not a directory"};
  for (size_t i = 0; i < now.containers.size(); ++i) {
    EXPECT_TRUE(now.containers[i].reason.starts_with(expected[i])) << now.containers[i].reason;
    EXPECT_EQ(now.containers[i].exit_code, 128);
  }
}

TEST_F(ProcessExecTest, EnvironmentIsOnlyWhatThePodAsksFor) {
  ::setenv("OF_THE_NODE", "leaked", 1);
  PodRequest made = request({});
  k8s::Container container;
  container.name = "main";
  container.command = {"/usr/bin/env"};
  k8s::EnvVar ip;
  ip.name = "IP";
  ip.from = k8s::EnvVar::From::kField;
  ip.ref_key = "status.podIP";
  k8s::EnvVar uses;
  uses.name = "URL";
  uses.value = "http://$(IP)/$(UNKNOWN)";
  container.env = {ip, uses};
  pod_->spec.containers = {container};
  std::string got = output(made);
  ::unsetenv("OF_THE_NODE");
  EXPECT_EQ(got,
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nHOSTNAME=pod1\n"
            "IP=198.18.0.9\nURL=http://198.18.0.9/$(UNKNOWN)\nHOME=/root\n");
}

TEST_F(ProcessExecTest, WorkingDirArgsAndLimits) {
  k8s::Container container;
  container.name = "main";
  container.command = {"sh", "-c"};
  container.args = {"pwd; ulimit -n; ulimit -c; umask; cat /proc/self/oom_score_adj; echo $0 $1",
                    "$(WORD)", "two"};
  container.working_dir = "/srv/new/place";
  k8s::EnvVar word;
  word.name = "WORD";
  word.value = "one";
  container.env = {word};
  // A host may allow fewer open files than the runtime asks for.
  rlimit files{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  rlimit wanted{65536, 1 << 20};
  bool may_raise = ::setrlimit(RLIMIT_NOFILE, &wanted) == 0;
  if (may_raise) ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
  rlim_t soft = may_raise ? 65536 : std::min<rlim_t>(65536, files.rlim_max);
  EXPECT_EQ(output(container),
            "/srv/new/place\n" + std::to_string(soft) + "\n0\n0022\n0\none two\n");
}

TEST_F(ProcessExecTest, MemoryLimitKillsAndIsNamed) {
  k8s::Container hog;
  hog.name = "main";
  hog.command = {"/usr/bin/python3", "-c", "b = bytearray(200 << 20); print('survived')"};
  hog.resources.memory_limit = 64 << 20;
  std::string uid = launch(request({hog}));
  ASSERT_TRUE(wait_phase(uid, "Failed"));
  EXPECT_EQ(state(uid).containers[0].reason, "OOMKilled") << describe(uid);
  EXPECT_EQ(log(uid), "");
  // The same program without the limit lives: the limit is what killed it.
  hog.resources.memory_limit.reset();
  EXPECT_EQ(output(hog), "survived\n");
}

TEST_F(ProcessExecTest, PidsLimitHoldsForksBack) {
  k8s::Container forker = shell(
      "n=0; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & n=$((n+1)); done 2>/dev/null; echo "
      "all");
  forker.resources.pids_limit = 6;
  std::string uid = launch(request({forker}));
  ASSERT_TRUE(wait_phase(uid, "Failed"));
  EXPECT_EQ(log(uid).find("all"), std::string::npos);
  forker.resources.pids_limit = 100;
  EXPECT_EQ(output(forker), "all\n");
}

TEST_F(ProcessExecTest, CpuLimitSlowsDown) {
  k8s::Container burner;
  burner.name = "main";
  burner.command = {"/usr/bin/python3", "-c",
                    "import time\nw, c = time.monotonic(), time.process_time()\n"
                    "while time.monotonic() < w + 1: pass\n"
                    "print('slow' if time.process_time() - c < 0.5 else 'fast')"};
  burner.resources.cpu_limit_milli = 100;
  EXPECT_EQ(output(burner), "slow\n");
}

}  // namespace
}  // namespace sallyport::runtime
