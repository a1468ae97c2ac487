// The JSON form of a plan: what passes from the node process to the shim and lies in pod.json.
#include "runtime/plan.h"

#include "codec/base64.h"
#include "codec/value.h"

namespace sallyport::runtime {
namespace {

using codec::Value;

Result<std::string> read_bytes(const Value& value) {
  auto bytes = codec::decode_base64(value.as_string());
  if (!bytes) return fail(Code::kInvalid, "plan: bytes that are not base64");
  return *std::move(bytes);
}

Value bytes_list(const std::vector<std::string>& list) {
  Value out = Value::list();
  for (const std::string& item : list) out.push(Value::string(codec::encode_base64(item)));
  return out;
}

Result<std::vector<std::string>> read_bytes_list(const Value& value) {
  std::vector<std::string> out;
  for (const Value& item : value.items()) {
    SP_TRY(std::string bytes, read_bytes(item));
    out.push_back(std::move(bytes));
  }
  return out;
}

Value string_list(const std::vector<std::string>& list) {
  Value out = Value::list();
  for (const std::string& item : list) out.push(Value::string(item));
  return out;
}

std::vector<std::string> read_string_list(const Value& value) {
  std::vector<std::string> out;
  for (const Value& item : value.items()) out.push_back(item.as_string());
  return out;
}

void set_optional(Value& map, std::string_view key, const std::optional<int64_t>& number) {
  if (number) map.set(key, Value::integer(*number));
}

std::optional<int64_t> read_optional(const Value& map, std::string_view key) {
  const Value* found = map.find(key);
  return found ? std::optional(found->as_int()) : std::nullopt;
}

Value encode_probe(const k8s::Probe& probe) {
  Value out = Value::map();
  out.set("kind", Value::integer(static_cast<int>(probe.kind)));
  out.set("port", Value::integer(probe.port.number));
  out.set("path", probe.path);
  out.set("host", probe.host);
  Value headers = Value::list();
  for (const auto& [name, value] : probe.headers) {
    Value pair = Value::list();
    pair.push(Value::string(name));
    pair.push(Value::string(value));
    headers.push(std::move(pair));
  }
  out.set("headers", std::move(headers));
  out.set("command", bytes_list(probe.command));
  out.set("initialDelay", Value::integer(probe.initial_delay_seconds));
  out.set("period", Value::integer(probe.period_seconds));
  out.set("timeout", Value::integer(probe.timeout_seconds));
  out.set("success", Value::integer(probe.success_threshold));
  out.set("failure", Value::integer(probe.failure_threshold));
  return out;
}

Result<std::optional<k8s::Probe>> decode_probe(const Value& value) {
  if (!value.is_map()) return std::optional<k8s::Probe>();
  k8s::Probe probe;
  int64_t kind = value["kind"].as_int();
  if (kind < 0 || kind > static_cast<int>(k8s::Probe::Kind::kExec))
    return fail(Code::kInvalid, "plan: unknown probe kind");
  probe.kind = static_cast<k8s::Probe::Kind>(kind);
  probe.port.number = static_cast<int>(value["port"].as_int());
  probe.path = value["path"].as_string();
  probe.host = value["host"].as_string();
  for (const Value& pair : value["headers"].items())
    if (pair.items().size() == 2)
      probe.headers.emplace_back(pair.items()[0].as_string(), pair.items()[1].as_string());
  SP_TRY(probe.command, read_bytes_list(value["command"]));
  probe.initial_delay_seconds = static_cast<int>(value["initialDelay"].as_int());
  probe.period_seconds = static_cast<int>(value["period"].as_int());
  probe.timeout_seconds = static_cast<int>(value["timeout"].as_int());
  probe.success_threshold = static_cast<int>(value["success"].as_int());
  probe.failure_threshold = static_cast<int>(value["failure"].as_int());
  return std::optional(std::move(probe));
}

Value encode_container(const PlannedContainer& c) {
  Value out = Value::map();
  out.set("name", c.name);
  out.set("init", Value::boolean(c.init));
  out.set("error", c.error);
  out.set("argv", bytes_list(c.argv));
  out.set("env", bytes_list(c.env));
  out.set("cwd", c.cwd);
  out.set("uid", Value::integer(c.uid));
  set_optional(out, "gid", c.gid);
  Value groups = Value::list();
  for (int64_t group : c.groups) groups.push(Value::integer(group));
  out.set("groups", std::move(groups));
  out.set("capabilities", Value::integer(static_cast<int64_t>(c.capabilities)));
  out.set("noNewPrivs", Value::boolean(c.no_new_privs));
  out.set("readOnlyRoot", Value::boolean(c.read_only_root));
  Value mounts = Value::list();
  for (const PlannedMount& m : c.mounts) {
    Value mount = Value::map();
    mount.set("volume", m.volume);
    mount.set("target", m.target);
    mount.set("subPath", m.sub_path);
    mount.set("readOnly", Value::boolean(m.read_only));
    mounts.push(std::move(mount));
  }
  out.set("mounts", std::move(mounts));
  set_optional(out, "memory", c.limits.memory);
  set_optional(out, "cpuMilli", c.limits.cpu_milli);
  set_optional(out, "pids", c.limits.pids);
  if (c.startup) out.set("startup", encode_probe(*c.startup));
  if (c.readiness) out.set("readiness", encode_probe(*c.readiness));
  if (c.liveness) out.set("liveness", encode_probe(*c.liveness));
  return out;
}

Result<PlannedContainer> decode_container(const Value& value) {
  PlannedContainer c;
  c.name = value["name"].as_string();
  c.init = value["init"].as_bool();
  c.error = value["error"].as_string();
  SP_TRY(c.argv, read_bytes_list(value["argv"]));
  SP_TRY(c.env, read_bytes_list(value["env"]));
  c.cwd = value["cwd"].as_string();
  c.uid = value["uid"].as_int();
  c.gid = read_optional(value, "gid");
  for (const Value& group : value["groups"].items()) c.groups.push_back(group.as_int());
  c.capabilities = static_cast<uint64_t>(value["capabilities"].as_int());
  c.no_new_privs = value["noNewPrivs"].as_bool();
  c.read_only_root = value["readOnlyRoot"].as_bool();
  for (const Value& m : value["mounts"].items())
    c.mounts.push_back({m["volume"].as_string(), m["target"].as_string(), m["subPath"].as_string(),
                        m["readOnly"].as_bool()});
  c.limits = {read_optional(value, "memory"), read_optional(value, "cpuMilli"),
              read_optional(value, "pids")};
  SP_TRY(c.startup, decode_probe(value["startup"]));
  SP_TRY(c.readiness, decode_probe(value["readiness"]));
  SP_TRY(c.liveness, decode_probe(value["liveness"]));
  if (c.name.empty()) return fail(Code::kInvalid, "plan: a container without a name");
  return c;
}

Value encode_volume(const PlannedVolume& v) {
  Value out = Value::map();
  out.set("name", v.name);
  out.set("filesOnly", Value::boolean(v.files_only));
  out.set("inMemory", Value::boolean(v.in_memory));
  out.set("sizeLimit", Value::integer(v.size_limit));
  set_optional(out, "fsGroup", v.fs_group);
  Value files = Value::list();
  for (const PlannedFile& f : v.files) {
    Value file = Value::map();
    file.set("path", f.path);
    file.set("data", codec::encode_base64(f.data));
    file.set("mode", Value::integer(static_cast<int64_t>(f.mode)));
    files.push(std::move(file));
  }
  out.set("files", std::move(files));
  return out;
}

Result<PlannedVolume> decode_volume(const Value& value) {
  PlannedVolume v;
  v.name = value["name"].as_string();
  v.files_only = value["filesOnly"].as_bool();
  v.in_memory = value["inMemory"].as_bool();
  v.size_limit = value["sizeLimit"].as_int();
  v.fs_group = read_optional(value, "fsGroup");
  for (const Value& f : value["files"].items()) {
    PlannedFile file;
    file.path = f["path"].as_string();
    SP_TRY(file.data, read_bytes(f["data"]));
    file.mode = static_cast<mode_t>(f["mode"].as_int());
    v.files.push_back(std::move(file));
  }
  return v;
}

}  // namespace

Value encode_plan(const Plan& plan) {
  Value out = Value::map();
  out.set("uid", plan.uid);
  out.set("namespace", plan.ns);
  out.set("name", plan.name);
  out.set("hostname", plan.hostname);
  out.set("hostsFile", plan.hosts_file);
  out.set("resolvConf", plan.resolv_conf);
  out.set("restartPolicy", Value::integer(static_cast<int>(plan.restart_policy)));
  out.set("graceSeconds", Value::integer(plan.grace_seconds));
  out.set("backoffMs", Value::integer(plan.backoff_ms));
  Value containers = Value::list();
  for (const PlannedContainer& c : plan.containers) containers.push(encode_container(c));
  out.set("containers", std::move(containers));
  Value volumes = Value::list();
  for (const PlannedVolume& v : plan.volumes) volumes.push(encode_volume(v));
  out.set("volumes", std::move(volumes));
  out.set("expose", string_list(plan.expose));
  Value extra = Value::list();
  for (const auto& [host, target] : plan.extra) extra.push(string_list({host, target}));
  out.set("extra", std::move(extra));
  out.set("masks", string_list(plan.masks));
  out.set("binary", plan.binary);
  Value ips = Value::list();
  for (const Ip& ip : plan.pod_ips) ips.push(Value::string(ip.to_string()));
  out.set("podIPs", std::move(ips));
  return out;
}

Result<Plan> decode_plan(const Value& value) {
  if (!value.is_map()) return fail(Code::kInvalid, "plan: expected a map");
  Plan plan;
  plan.uid = value["uid"].as_string();
  if (plan.uid.empty()) return fail(Code::kInvalid, "plan: no uid");
  plan.ns = value["namespace"].as_string();
  plan.name = value["name"].as_string();
  plan.hostname = value["hostname"].as_string();
  plan.hosts_file = value["hostsFile"].as_string();
  plan.resolv_conf = value["resolvConf"].as_string();
  int64_t policy = value["restartPolicy"].as_int();
  if (policy < 0 || policy > static_cast<int>(k8s::RestartPolicy::kNever))
    return fail(Code::kInvalid, "plan: unknown restart policy");
  plan.restart_policy = static_cast<k8s::RestartPolicy>(policy);
  plan.grace_seconds = static_cast<int>(value["graceSeconds"].as_int());
  plan.backoff_ms = static_cast<int>(value["backoffMs"].as_int());
  for (const Value& item : value["containers"].items()) {
    SP_TRY(PlannedContainer container, decode_container(item));
    plan.containers.push_back(std::move(container));
  }
  for (const Value& item : value["volumes"].items()) {
    SP_TRY(PlannedVolume volume, decode_volume(item));
    plan.volumes.push_back(std::move(volume));
  }
  plan.expose = read_string_list(value["expose"]);
  for (const Value& pair : value["extra"].items())
    if (pair.items().size() == 2)
      plan.extra.emplace_back(pair.items()[0].as_string(), pair.items()[1].as_string());
  plan.masks = read_string_list(value["masks"]);
  plan.binary = value["binary"].as_string();
  for (const Value& item : value["podIPs"].items()) {
    SP_TRY(Ip ip, Ip::parse(item.as_string()));
    plan.pod_ips.push_back(ip);
  }
  return plan;
}

}  // namespace sallyport::runtime
