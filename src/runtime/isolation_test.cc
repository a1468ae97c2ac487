// User 0 in a pod against the node: control socket, BPF, host files, devices, another pod's Secret.
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <cstring>

#include "runtime/runtime_fixture.h"

namespace sallyport::runtime {
namespace {

class IsolationTest : public RuntimeFixture {
 protected:
  // Runs Python in a pod as root; the pod's output.
  std::string python(const std::string& script) {
    k8s::Container container;
    container.name = "main";
    container.command = {"/usr/bin/python3", "-c", script};
    return output(container);
  }
};

constexpr const char* kTools = R"(
import os, ctypes, errno, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(name, number, *args):
    r = libc.syscall(number, *args)
    print(name, "ok" if r >= 0 else errno.errorcode[ctypes.get_errno()])
def attempt(name, f):
    try:
        f(); print(name, "ok")
    except OSError as e:
        print(name, errno.errorcode[e.errno])
)";

TEST_F(IsolationTest, RefusedSystemCalls) {
  std::string numbers = "N = {";
  for (const auto& [name, number] :
       std::vector<std::pair<std::string, long>>{{"bpf", SYS_bpf},
                                                 {"mount", SYS_mount},
                                                 {"umount2", SYS_umount2},
                                                 {"pivot_root", SYS_pivot_root},
                                                 {"open_tree", SYS_open_tree},
                                                 {"fsopen", SYS_fsopen},
                                                 {"move_mount", SYS_move_mount},
                                                 {"mount_setattr", SYS_mount_setattr},
                                                 {"unshare", SYS_unshare},
                                                 {"setns", SYS_setns},
                                                 {"clone", SYS_clone},
                                                 {"clone3", SYS_clone3},
                                                 {"ptrace", SYS_ptrace},
                                                 {"process_vm_readv", SYS_process_vm_readv},
                                                 {"kexec_load", SYS_kexec_load},
                                                 {"init_module", SYS_init_module},
                                                 {"finit_module", SYS_finit_module},
                                                 {"delete_module", SYS_delete_module},
                                                 {"userfaultfd", SYS_userfaultfd},
                                                 {"keyctl", SYS_keyctl},
                                                 {"add_key", SYS_add_key},
                                                 {"perf_event_open", SYS_perf_event_open},
                                                 {"open_by_handle_at", SYS_open_by_handle_at},
                                                 {"io_uring_setup", SYS_io_uring_setup},
                                                 {"reboot", SYS_reboot},
                                                 {"settimeofday", SYS_settimeofday}})
    numbers += "'" + name + "': " + std::to_string(number) + ", ";
  std::string got = python(kTools + numbers + R"(}
buf = ctypes.create_string_buffer(128)
call("bpf", N["bpf"], 0, buf, 128)
call("mount", N["mount"], b"none", b"/tmp", b"tmpfs", 0, None)
call("umount2", N["umount2"], b"/proc", 2)
call("pivot_root", N["pivot_root"], b"/tmp", b"/tmp")
call("open_tree", N["open_tree"], -100, b"/", 1)
call("fsopen", N["fsopen"], b"tmpfs", 0)
call("move_mount", N["move_mount"], -100, b"/tmp", -100, b"/tmp", 0)
call("mount_setattr", N["mount_setattr"], -100, b"/", 0, buf, 32)
call("unshare", N["unshare"], 0x10000000)
call("setns", N["setns"], 0, 0)
call("clone", N["clone"], 0x10000000 | 17, 0, 0, 0, 0)
call("clone3", N["clone3"], buf, 88)
call("ptrace", N["ptrace"], 16, 1, 0, 0)
call("process_vm_readv", N["process_vm_readv"], 1, None, 0, None, 0, 0)
call("kexec_load", N["kexec_load"], 0, 0, None, 0)
call("init_module", N["init_module"], buf, 1, b"")
call("finit_module", N["finit_module"], 0, b"", 0)
call("delete_module", N["delete_module"], b"x", 0)
call("userfaultfd", N["userfaultfd"], 0)
call("keyctl", N["keyctl"], 0, 0, 0, 0, 0)
call("add_key", N["add_key"], b"user", b"x", b"y", 1, -2)
call("perf_event_open", N["perf_event_open"], buf, 0, -1, -1, 0)
call("open_by_handle_at", N["open_by_handle_at"], 3, buf, 0)
call("io_uring_setup", N["io_uring_setup"], 1, buf)
call("reboot", N["reboot"], 0, 0, 0, None)
call("settimeofday", N["settimeofday"], buf, None)
attempt("vsock", lambda: socket.socket(40, socket.SOCK_STREAM))
attempt("alg", lambda: socket.socket(38, socket.SOCK_SEQPACKET))
attempt("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
import fcntl
attempt("tiocsti", lambda: fcntl.ioctl(0, 0x5412, b"x"))
)");
  EXPECT_EQ(
      got,
      "bpf EPERM\nmount EPERM\numount2 EPERM\npivot_root EPERM\nopen_tree EPERM\nfsopen EPERM\n"
      "move_mount EPERM\nmount_setattr EPERM\nunshare EPERM\nsetns EPERM\nclone EPERM\n"
      "clone3 ENOSYS\nptrace EPERM\nprocess_vm_readv EPERM\nkexec_load EPERM\ninit_module EPERM\n"
      "finit_module EPERM\ndelete_module EPERM\nuserfaultfd EPERM\nkeyctl EPERM\nadd_key EPERM\n"
      "perf_event_open EPERM\nopen_by_handle_at EPERM\nio_uring_setup EPERM\nreboot EPERM\n"
      "settimeofday EPERM\nvsock EAFNOSUPPORT\nalg EAFNOSUPPORT\npacket ok\ntiocsti EPERM\n");
}

TEST_F(IsolationTest, SocketsAndPinsOfTheNodeAreOutOfReach) {
  // A socket in the run's directory, as the control socket is, and one elsewhere on the host's
  // disk.
  Fd listeners[2];
  std::string paths[2] = {state_dir_ + "/control.sock", "/opt/" + id_ + ".sock"};
  for (int i = 0; i < 2; ++i) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, paths[i].c_str());
    listeners[i] = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(listeners[i].get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listeners[i].get(), 4), 0);
    Fd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0)
        << "the host itself reaches it";
  }
  std::string got =
      python(std::string(kTools) + "\nfor p in ['" + paths[0] + "', '" + paths[1] + R"(']:
    attempt("connect", lambda: socket.socket(socket.AF_UNIX).connect(p))
    attempt("through the shim", lambda: socket.socket(socket.AF_UNIX).connect("/proc/1/root/state/shim.sock"))
for p in ["/run/sallyport", "/sys/fs/bpf", "/sys/fs/cgroup", "/run/netns"]:
    attempt(p, lambda: os.listdir(p))
)");
  ::unlink(paths[1].c_str());
  EXPECT_EQ(
      got,
      "connect ENOENT\nthrough the shim EACCES\nconnect ECONNREFUSED\nthrough the shim EACCES\n"
      "/run/sallyport ENOENT\n/sys/fs/bpf ENOENT\n/sys/fs/cgroup ENOENT\n/run/netns ENOENT\n");
}

TEST_F(IsolationTest, TheShimIsOutOfReach) {
  std::string got = python(std::string(kTools) + R"(
attempt("root", lambda: os.listdir("/proc/1/root/"))
attempt("cwd", lambda: os.listdir("/proc/1/cwd/"))
attempt("fd", lambda: open("/proc/1/fd/0"))
attempt("environ", lambda: open("/proc/1/environ").read())
attempt("mem", lambda: open("/proc/1/mem"))
attempt("exe", lambda: open("/proc/1/exe", "rb"))
os.kill(1, 9); os.kill(1, 15); os.kill(1, 19)
import time; time.sleep(0.1)
print("the shim lives", os.path.exists("/proc/1"))
print("pids", sorted(int(p) for p in os.listdir("/proc") if p.isdigit())[0], os.getpid() > 1)
)");
  EXPECT_EQ(got,
            "root EACCES\ncwd EACCES\nfd EACCES\nenviron EACCES\nmem EACCES\nexe EACCES\n"
            "the shim lives True\npids 1 True\n");
}

TEST_F(IsolationTest, DeviceNodesOfOnesOwnDoNotWork) {
  struct stat root{};
  ASSERT_EQ(::stat("/", &root), 0);
  std::string got = python(std::string(kTools) + "\ndev = " + std::to_string(root.st_dev) + R"(
for d in ["/", "/dev", "/dev/shm", "/tmp", "/run"]:
    p = d + "/disk"
    attempt("mknod", lambda: os.mknod(p, 0o60600, dev))
    attempt("open", lambda: open(p, "rb"))
    p = d + "/mem"
    attempt("mknod", lambda: os.mknod(p, 0o20600, os.makedev(1, 1)))
    attempt("open", lambda: open(p, "rb"))
)");
  std::string expected;
  for (int i = 0; i < 10; ++i) expected += "mknod ok\nopen EACCES\n";
  EXPECT_EQ(got, expected);
}

TEST_F(IsolationTest, AnotherPodsSecretCannotBeFound) {
  PodRequest owner = request({shell("cat /secret/key; echo; sleep 1000")});
  owner.secrets["s"] = {{"key", "the-hidden-word"}};
  pod_->spec.containers[0].volume_mounts = {{"v", "/secret", "", true}};
  pod_->spec.volumes.resize(1);
  pod_->spec.volumes[0].name = "v";
  pod_->spec.volumes[0].kind = k8s::Volume::Kind::kSecret;
  pod_->spec.volumes[0].source = "s";
  std::string uid = launch(owner);
  ASSERT_TRUE(wait_for([&] { return log(uid) == "the-hidden-word\n"; })) << describe(uid);
  std::string got = python(R"(
import os
found = []
for top in ["/run", "/tmp", "/var/lib", "/dev", "/proc", "/mnt", "/opt", "/secret"]:
    for base, dirs, files in os.walk(top):
        if base.count("/") > 6: dirs[:] = []
        for f in files:
            p = os.path.join(base, f)
            if not os.path.isfile(p) or os.path.islink(p): continue
            try:
                with open(p, "rb") as h:
                    if b"the-hidden" + b"-word" in h.read(65536): found.append(p)
            except OSError: pass
print([p for p in found if not p.startswith("/proc/%d/" % os.getpid()) and not p.startswith("/proc/self") and not p.startswith("/proc/thread-self")])
)");
  EXPECT_EQ(got, "[]\n");
  EXPECT_FALSE(exists("/secret")) << "nothing of it on the host";
}

TEST_F(IsolationTest, NamespacesOfItsOwn) {
  std::string got =
      output(shell("for n in net mnt pid ipc uts cgroup; do readlink /proc/self/ns/$n; done"));
  int line = 0;
  std::vector<std::string> lines = split(got, '\n');
  for (const char* name : {"net", "mnt", "pid", "ipc", "uts", "cgroup"}) {
    char host[64] = {};
    ASSERT_GT(::readlink((std::string("/proc/self/ns/") + name).c_str(), host, sizeof host - 1), 0);
    EXPECT_NE(lines[static_cast<size_t>(line++)], host);
  }
}

}  // namespace
}  // namespace sallyport::runtime
