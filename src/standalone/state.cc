#include "standalone/state.h"

#include "base/fs.h"
#include "codec/json.h"

namespace sallyport::standalone {

using codec::Value;

std::string encode_state(const RunState& state) {
  Value root = Value::map();
  root.set("version", Value::integer(state.version));
  root.set("gateLayout", Value::integer(state.gate_layout));
  root.set("manifestDir", state.manifest_dir);
  root.set("echoPid", Value::integer(state.echo_pid));
  root.set("echoStartTime", Value::integer(static_cast<int64_t>(state.echo_start_time)));
  root.set("nextEndpointId", Value::integer(state.next_endpoint_id));
  root.set("revision", Value::integer(static_cast<int64_t>(state.revision)));
  if (!state.proxies.empty()) {
    Value& proxies = root.set("proxies", Value::list());
    for (const ProxyState& proxy : state.proxies) {
      Value entry = Value::map();
      entry.set("group", proxy.group);
      entry.set("pid", Value::integer(proxy.process.pid));
      entry.set("startTime", Value::integer(static_cast<int64_t>(proxy.process.start_time)));
      proxies.push(std::move(entry));
    }
  }
  root.set("rules", state.rules);
  Value& pods = root.set("pods", Value::list());
  for (const PodRecordState& pod : state.pods) {
    Value entry = Value::map();
    entry.set("namespace", pod.ns);
    entry.set("name", pod.name);
    entry.set("uid", pod.uid);
    entry.set("specHash", pod.spec_hash);
    entry.set("endpointId", Value::integer(pod.endpoint_id));
    entry.set("v4", pod.v4.to_string());
    entry.set("v6", pod.v6.to_string());
    entry.set("link", pod.link);
    entry.set("ifindex", Value::integer(pod.ifindex));
    entry.set("prepared", Value::boolean(pod.prepared));
    entry.set("stopping", Value::boolean(pod.stopping));
    if (pod.captured) entry.set("captured", Value::boolean(true));
    if (pod.outbound_mark != 0) {
      entry.set("outboundMark", Value::integer(pod.outbound_mark));
      entry.set("appMark", Value::integer(pod.app_mark));
    }
    if (!pod.references.empty()) {
      Value& references = entry.set("references", Value::map());
      for (const auto& [name, hash] : pod.references) references.set(name, hash);
    }
    pods.push(std::move(entry));
  }
  return codec::write_json(root) + "\n";
}

Status save_state(const std::string& path, const RunState& state) {
  return write_file_atomic(path, encode_state(state));
}

Result<RunState> load_state(const std::string& path) {
  if (!exists(path)) return fail(Code::kNotFound, path + " does not exist");
  SP_TRY(std::string text, read_file(path));
  auto root = codec::parse_json(text);
  if (!root) return fail_in(path, root.error());
  RunState state;
  state.version = static_cast<int>((*root)["version"].as_int());
  if (state.version != kStateVersion)
    return fail(Code::kConflict, path + " has version " + std::to_string(state.version) +
                                     ", this program reads version " +
                                     std::to_string(kStateVersion));
  state.gate_layout = static_cast<int>((*root)["gateLayout"].as_int());
  state.manifest_dir = (*root)["manifestDir"].as_string();
  state.echo_pid = static_cast<pid_t>((*root)["echoPid"].as_int());
  state.echo_start_time = static_cast<uint64_t>((*root)["echoStartTime"].as_int());
  state.next_endpoint_id = static_cast<uint32_t>((*root)["nextEndpointId"].as_int());
  state.revision = static_cast<uint64_t>((*root)["revision"].as_int());
  for (const Value& entry : (*root)["proxies"].items())
    state.proxies.push_back({entry["group"].as_string(),
                             {static_cast<pid_t>(entry["pid"].as_int()),
                              static_cast<uint64_t>(entry["startTime"].as_int())}});
  state.rules = (*root)["rules"].as_string();
  for (const Value& entry : (*root)["pods"].items()) {
    PodRecordState pod;
    pod.ns = entry["namespace"].as_string();
    pod.name = entry["name"].as_string();
    pod.uid = entry["uid"].as_string();
    pod.spec_hash = entry["specHash"].as_string();
    pod.endpoint_id = static_cast<uint32_t>(entry["endpointId"].as_int());
    auto v4 = Ip::parse(entry["v4"].as_string());
    auto v6 = Ip::parse(entry["v6"].as_string());
    if (!v4 || !v6 || pod.uid.empty() || pod.endpoint_id == 0)
      return fail(Code::kInvalid,
                  path + ": the entry of pod " + pod.ns + "/" + pod.name + " is damaged");
    pod.v4 = *v4;
    pod.v6 = *v6;
    pod.link = entry["link"].as_string();
    pod.ifindex = static_cast<int>(entry["ifindex"].as_int());
    pod.prepared = entry["prepared"].as_bool();
    pod.stopping = entry["stopping"].as_bool();
    pod.captured = entry["captured"].as_bool();
    pod.outbound_mark = static_cast<uint32_t>(entry["outboundMark"].as_int());
    pod.app_mark = static_cast<uint32_t>(entry["appMark"].as_int());
    for (const auto& member : entry["references"].members())
      pod.references[member.key] = member.value.as_string();
    state.pods.push_back(std::move(pod));
  }
  return state;
}

}  // namespace sallyport::standalone
