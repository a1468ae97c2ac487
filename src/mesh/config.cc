#include "mesh/config.h"

#include <algorithm>

#include "codec/json.h"
#include "k8s/manifest.h"
#include "mesh/config_objects.h"

namespace sallyport::mesh {
namespace {

using codec::Value;

constexpr size_t kMostBytes = 256 << 20;

Value texts(const std::vector<std::string>& all) {
  Value out = Value::list();
  for (const std::string& text : all) out.push(Value::string(text));
  return out;
}

Value cidrs(const std::vector<Cidr>& all) {
  Value out = Value::list();
  for (const Cidr& cidr : all) out.push(Value::string(cidr.to_string()));
  return out;
}

Status read_texts(const ConfigReader& in, std::vector<std::string>& out) {
  SP_TRY(const std::vector<Value>* items, in.items());
  for (const Value& item : *items) {
    if (!item.is_string()) return in.wrong("expected strings");
    out.push_back(item.as_string());
  }
  return {};
}

Status read_cidrs(const ConfigReader& in, std::vector<Cidr>& out) {
  std::vector<std::string> all;
  SP_CHECK_OK(read_texts(in, all));
  for (const std::string& text : all) {
    auto cidr = Cidr::parse(text, true);
    if (!cidr) return in.wrong(cidr.error().message);
    out.push_back(*cidr);
  }
  return {};
}

// Objects are read by the decoder of manifests, one by one: its bound on the size of a text is
// meant for files.
Result<world::World> read_objects(const ConfigReader& in) {
  SP_TRY(const std::vector<Value>* items, in.items());
  std::vector<k8s::AnyObject> objects;
  objects.reserve(items->size());
  for (const Value& item : *items) {
    k8s::Manifest one = k8s::parse_manifest(codec::write_json(item), "objects.json");
    for (const k8s::Diagnostic& d : one.diagnostics)
      if (d.severity == k8s::Diagnostic::Severity::kError) return in.wrong(d.to_string());
    for (k8s::AnyObject& object : one.objects) {
      if (!belongs_in_config(object))
        return in.wrong("the kind " + k8s::base_of(object).kind + " has no place here");
      objects.push_back(std::move(object));
    }
  }
  return world::from_objects(objects);
}

}  // namespace

std::string encode(const ProxyConfig& config) {
  Value root = Value::map();
  root.set("schema", Value::integer(kConfigSchema));
  root.set("generation", Value::integer(static_cast<int64_t>(config.generation)));
  root.set("revision", Value::integer(static_cast<int64_t>(config.world.revision)));
  root.set("podRanges", cidrs(config.pod_ranges));
  root.set("serviceRanges", cidrs(config.service_ranges));
  root.set("localPods", texts(config.local_pods));
  root.set("checkNetworkPolicy", Value::boolean(config.check_network_policy));
  root.set("mesh", encode_settings(config.world.mesh));
  Value& pods = root.set("pods", Value::list());
  for (const world::Endpoint& pod : config.world.endpoints) pods.push(encode_pod(pod));
  root.set("objects", encode_objects(config.world));
  return codec::write_json(root);
}

Result<ProxyConfig> decode(std::string_view json) {
  auto parsed = codec::parse_json(json, kMostBytes);
  if (!parsed) return fail_in("configuration", parsed.error());
  ConfigReader root(*parsed, "configuration");
  SP_CHECK_OK(root.only({"schema", "generation", "revision", "podRanges", "serviceRanges",
                         "localPods", "checkNetworkPolicy", "mesh", "pods", "objects"}));
  SP_TRY(int64_t schema, root["schema"].number(0, 1 << 20));
  if (schema != kConfigSchema)
    return fail(Code::kInvalid, "configuration has schema " + std::to_string(schema) +
                                    ", this program reads schema " + std::to_string(kConfigSchema));
  ProxyConfig config;
  SP_TRY(int64_t generation, root["generation"].number(0, INT64_MAX));
  config.generation = static_cast<uint64_t>(generation);
  SP_CHECK_OK(read_cidrs(root["podRanges"], config.pod_ranges));
  SP_CHECK_OK(read_cidrs(root["serviceRanges"], config.service_ranges));
  SP_CHECK_OK(read_texts(root["localPods"], config.local_pods));
  SP_TRY(config.check_network_policy, root["checkNetworkPolicy"].boolean());

  SP_TRY(config.world, read_objects(root["objects"]));
  SP_TRY(int64_t revision, root["revision"].number(0, INT64_MAX));
  config.world.revision = static_cast<uint64_t>(revision);
  SP_CHECK_OK(decode_settings(root["mesh"], config.world.mesh));
  SP_TRY(const std::vector<Value>* pods, root["pods"].items());
  config.world.endpoints.reserve(pods->size());
  for (size_t i = 0; i < pods->size(); ++i) {
    ConfigReader entry((*pods)[i], "configuration.pods[" + std::to_string(i) + "]");
    SP_CHECK_OK(decode_pod(entry, config.world.endpoints.emplace_back()));
  }
  config.world.finish();
  return config;
}

}  // namespace sallyport::mesh
