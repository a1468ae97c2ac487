#include "runtime/shim_client.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/strings.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "runtime/protocol.h"

namespace sallyport::runtime {
namespace {

constexpr timeval kAnswerTime{10, 0};

}  // namespace

Result<codec::Value> ask_shim(const std::string& pod_dir, const codec::Value& body,
                              std::span<const int> fds) {
  SP_TRY(Fd socket, connect_in(pod_dir, "shim.sock"));
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kAnswerTime, sizeof kAnswerTime) != 0)
    return fail_errno("setsockopt");
  SP_CHECK_OK(send_message(socket.get(), body, fds));
  SP_TRY(std::optional<Message> answer, receive_message(socket.get()));
  if (!answer) return fail(Code::kUnavailable, "the pod's shim closed the connection");
  if (const codec::Value* error = answer->body.find("error"))
    return fail(Code::kInvalid, error->as_string());
  return std::move(answer->body);
}

Result<Fd> begin_exec(const std::string& pod_dir, const std::string& container,
                      const std::vector<std::string>& command, std::span<const int> fds) {
  SP_TRY(Fd socket, connect_in(pod_dir, "shim.sock"));
  codec::Value body = codec::Value::map();
  body.set("op", "exec");
  body.set("container", container);
  codec::Value words = codec::Value::list();
  for (const std::string& word : command)
    words.push(codec::Value::string(codec::encode_base64(word)));
  body.set("command", std::move(words));
  SP_CHECK_OK(send_message(socket.get(), body, fds));
  return socket;
}

Result<int> exec_result(const codec::Value& answer) {
  if (const codec::Value* error = answer.find("error"))
    return fail(Code::kInvalid, error->as_string());
  if (!answer.find("exit")) return fail(Code::kInternal, "the pod's shim gave no exit status");
  return static_cast<int>(answer["exit"].as_int());
}

Result<ShimIdentity> live_shim(const std::string& pod_dir) {
  SP_TRY(std::string text, read_file(pod_dir + "/shim.json", 4096));
  SP_TRY(codec::Value value, codec::parse_json(text));
  ShimIdentity shim{static_cast<pid_t>(value["pid"].as_int()),
                    static_cast<uint64_t>(value["startTime"].as_int())};
  if (shim.pid <= 1) return fail(Code::kInvalid, pod_dir + "/shim.json: no pid");
  SP_TRY(uint64_t start, process_start_time(shim.pid));
  if (start != shim.start_time) return fail(Code::kNotFound, "the pod's shim has ended");
  return shim;
}

Result<Fd> open_pidfd(const ShimIdentity& shim) {
  Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, shim.pid, 0)));
  if (!fd) return fail_errno("pidfd_open");
  // The pid may have been given anew between the look at it and the opening.
  SP_TRY(uint64_t start, process_start_time(shim.pid));
  if (start != shim.start_time) return fail(Code::kNotFound, "the pod's shim has ended");
  return fd;
}

std::map<pid_t, pid_t> host_pids(pid_t shim) {
  std::map<pid_t, pid_t> found;
  std::string pid = std::to_string(shim);
  auto children = read_file("/proc/" + pid + "/task/" + pid + "/children", 1 << 20);
  if (!children) return found;
  for (const std::string& word : split(trim(*children), ' ')) {
    auto child = parse_number<pid_t>(std::string_view(word));
    if (!child) continue;
    auto status = read_file("/proc/" + word + "/status", 1 << 16);
    if (!status) continue;
    for (const std::string& line : split(*status, '\n')) {
      if (!line.starts_with("NSpid:")) continue;
      std::vector<std::string> numbers = split(trim(std::string_view(line).substr(6)), '\t');
      if (auto inner = parse_number<pid_t>(std::string_view(numbers.back())))
        found[*inner] = *child;
    }
  }
  return found;
}

}  // namespace sallyport::runtime
