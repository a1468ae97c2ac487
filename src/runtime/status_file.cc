#include "runtime/status_file.h"

#include "base/fs.h"
#include "codec/json.h"

namespace sallyport::runtime {
namespace {

constexpr int64_t kSchema = 1;

}  // namespace

codec::Value encode_state(const PodState& state) {
  using codec::Value;
  Value out = Value::map();
  out.set("schema", Value::integer(kSchema));
  out.set("uid", state.uid);
  out.set("phase", state.phase);
  Value containers = Value::list();
  for (const ContainerState& c : state.containers) {
    Value item = Value::map();
    item.set("name", c.name);
    item.set("init", Value::boolean(c.init));
    item.set("phase", Value::integer(static_cast<int>(c.phase)));
    item.set("reason", c.reason);
    item.set("lastReason", c.last_reason);
    item.set("exitCode", Value::integer(c.exit_code));
    item.set("signal", Value::integer(c.signal));
    item.set("restarts", Value::integer(c.restarts));
    item.set("pid", Value::integer(c.pid));
    item.set("startedMs", Value::integer(c.started_ms));
    item.set("finishedMs", Value::integer(c.finished_ms));
    containers.push(std::move(item));
  }
  out.set("containers", std::move(containers));
  return out;
}

Result<PodState> decode_state(const codec::Value& value) {
  if (value["schema"].as_int() != kSchema)
    return fail(Code::kInvalid, "status file of another version, expected schema 1");
  PodState state;
  state.uid = value["uid"].as_string();
  state.phase = value["phase"].as_string();
  for (const codec::Value& item : value["containers"].items()) {
    ContainerState c;
    c.name = item["name"].as_string();
    c.init = item["init"].as_bool();
    int64_t phase = item["phase"].as_int();
    if (phase < 0 || phase > static_cast<int>(ContainerState::Phase::kTerminated))
      return fail(Code::kInvalid, "status file with an unknown phase");
    c.phase = static_cast<ContainerState::Phase>(phase);
    c.reason = item["reason"].as_string();
    c.last_reason = item["lastReason"].as_string();
    c.exit_code = static_cast<int>(item["exitCode"].as_int());
    c.signal = static_cast<int>(item["signal"].as_int());
    c.restarts = static_cast<int>(item["restarts"].as_int());
    c.pid = static_cast<pid_t>(item["pid"].as_int());
    c.started_ms = item["startedMs"].as_int();
    c.finished_ms = item["finishedMs"].as_int();
    state.containers.push_back(std::move(c));
  }
  return state;
}

Status write_state(const std::string& path, const PodState& state) {
  return write_file_atomic(path, codec::write_json(encode_state(state)), 0600);
}

Result<PodState> read_state(const std::string& path) {
  SP_TRY(std::string text, read_file(path, 4 << 20));
  SP_TRY(codec::Value value, codec::parse_json(text));
  return decode_state(value);
}

}  // namespace sallyport::runtime
