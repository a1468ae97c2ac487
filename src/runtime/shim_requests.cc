// What a shim answers on its control socket.
#include <signal.h>

#include <algorithm>

#include "codec/base64.h"
#include "runtime/shim.h"
#include "runtime/shim_layout.h"
#include "runtime/volumes.h"

namespace sallyport::runtime {
namespace {

// Fewer than the connections that the shim serves, so that a stop is always heard.
constexpr size_t kMaxCommands = 48;

codec::Value refuse(std::string_view why) {
  codec::Value answer = codec::Value::map();
  answer.set("error", why);
  return answer;
}

codec::Value accept() {
  codec::Value answer = codec::Value::map();
  answer.set("ok", codec::Value::boolean(true));
  return answer;
}

int grace_of(const codec::Value& body) {
  return static_cast<int>(std::clamp<int64_t>(body["grace"].as_int(), 0, 1'000'000));
}

}  // namespace

codec::Value Shim::handle(Session& session, Message& message) {
  const std::string& op = message.body["op"].as_string();
  if (op == "start") return handle_start(message);
  if (op == "exec") return handle_exec(session, message);
  if (op == "ping") return accept();
  if (op == "stop") {
    lifecycle_->stop(grace_of(message.body), clock_.now());
    return accept();
  }
  if (op == "restart") {
    const std::string& name = message.body["container"].as_string();
    for (size_t i = 0; i < plan_.containers.size(); ++i)
      if (plan_.containers[i].name == name)
        lifecycle_->restart(i, message.body["reason"].as_string(), grace_of(message.body),
                            clock_.now());
    return accept();
  }
  return refuse("unknown request \"" + op + "\"");
}

codec::Value Shim::handle_start(Message& message) {
  if (started_) return accept();  // the node process may not know that it was heard
  auto plan = decode_plan(message.body["plan"]);
  if (!plan) return refuse(plan.error().message);
  bool same = plan->containers.size() == plan_.containers.size();
  for (size_t i = 0; same && i < plan->containers.size(); ++i)
    same = plan->containers[i].name == plan_.containers[i].name;
  if (!same || plan->uid != plan_.uid) return refuse("the plan is of another pod");

  // Descriptors come in the order of the containers: `procs` of cgroup.procs, then one to see kills
  // for lack of memory, then one to kill.
  const std::vector<codec::Value>& cgroups = message.body["cgroups"].items();
  if (cgroups.size() != containers_.size()) return refuse("cgroups do not match the containers");
  std::reverse(message.fds.begin(), message.fds.end());
  auto take = [&]() {
    Fd next;
    if (!message.fds.empty()) {
      next = std::move(message.fds.back());
      message.fds.pop_back();
    }
    return next;
  };
  for (size_t i = 0; i < containers_.size(); ++i) {
    int64_t procs = cgroups[i]["procs"].as_int();
    containers_[i].cgroup_procs.clear();
    for (int64_t k = 0; k < procs && !message.fds.empty(); ++k)
      containers_[i].cgroup_procs.push_back(take());
    if (static_cast<int64_t>(containers_[i].cgroup_procs.size()) != procs)
      return refuse("descriptors are missing");
    if (cgroups[i]["oom"].as_bool()) containers_[i].oom_file = take();
    if (cgroups[i]["kill"].as_bool()) containers_[i].kill_file = take();
  }
  plan_ = std::move(*plan);
  if (Status made = make_volumes(plan_, layout::kVolumes); !made)
    for (PlannedContainer& container : plan_.containers)
      if (container.error.empty()) container.error = made.error().message;
  started_ = true;
  lifecycle_->begin();
  return accept();
}

codec::Value Shim::handle_exec(Session& session, Message& message) {
  const std::string& name = message.body["container"].as_string();
  if (message.fds.size() != 3) return refuse("exec takes three descriptors");
  auto commands = std::count_if(sessions_.begin(), sessions_.end(),
                                [](const Session& s) { return s.process.has_value(); });
  if (static_cast<size_t>(commands) >= kMaxCommands)
    return refuse("48 commands run in this pod already");
  std::vector<std::string> argv;
  for (const codec::Value& item : message.body["command"].items()) {
    auto text = codec::decode_base64(item.as_string());
    if (!text) return refuse("the command is not base64");
    argv.push_back(*std::move(text));
  }
  for (size_t i = 0; i < plan_.containers.size(); ++i) {
    if (plan_.containers[i].name != name) continue;
    Container& container = containers_[i];
    if (!container.process || !container.running)
      return refuse("container " + name + " is not running");
    std::vector<int> procs;
    for (const Fd& fd : container.cgroup_procs) procs.push_back(fd.get());
    auto started = start_in_container(
        plan_.containers[i], container.process->pid, argv,
        {message.fds[0].get(), message.fds[1].get(), message.fds[2].get()}, procs);
    if (!started) return refuse(started.error().message);
    session.process = std::move(*started);
    return {};  // the answer comes when it ends
  }
  return refuse("no container " + name);
}

}  // namespace sallyport::runtime
