// The shim: PID 1 of a pod. One thread, one poll loop; it lives until it is killed from outside,
// which ends everything in the pod's PID namespace with it.
#pragma once

#include <sys/types.h>

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "runtime/container_process.h"
#include "runtime/lifecycle.h"
#include "runtime/log_writer.h"
#include "runtime/plan.h"
#include "runtime/protocol.h"

namespace sallyport::runtime {

class Shim {
 public:
  Shim(Plan plan, Fd listener, Fd signals);
  void run();  // does not return but for a kernel that refuses poll()

 private:
  struct Container {
    std::optional<StartedProcess> process;  // set while it starts or runs
    bool running = false;                   // the program has been started
    StartReport report;
    std::unique_ptr<LogWriter> log;
    std::vector<Fd> cgroup_procs;
    Fd oom_file, kill_file;
    uint64_t oom_kills = 0;  // when it started
  };
  struct Session {  // one connection of the node process, or of `sallyport exec`
    Fd socket;
    std::optional<StartedProcess> process;  // of an exec
    StartReport report;
    bool closing = false;
  };

  void wait_for_events();
  void accept_session();
  void serve(Session& session);
  codec::Value handle(Session& session, Message& message);
  codec::Value handle_start(Message& message);
  codec::Value handle_exec(Session& session, Message& message);
  void end_session(Session& session);

  void act();
  void start(size_t index);
  void read_output(Container& container, bool to_the_end);
  void follow_start(size_t index);
  void reap();
  void container_ended(size_t index, int status);
  void exec_ended(Session& session, int status);
  void kill_leftovers();
  void save_status();

  Plan plan_;
  Fd listener_, signals_;
  SystemClock clock_;
  std::unique_ptr<Lifecycle> lifecycle_;
  std::vector<Container> containers_;
  std::list<Session> sessions_;
  // Mount namespaces of ended containers, until they have been seen empty several times: a process
  // that forks and ends between two looks hides its child from one of them.
  struct Doomed {
    Fd mount_namespace;
    int times_empty = 0;
  };
  std::vector<Doomed> doomed_;
  bool started_ = false;
  std::string last_status_;
};

}  // namespace sallyport::runtime
