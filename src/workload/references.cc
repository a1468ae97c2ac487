#include "workload/references.h"

#include <string_view>

namespace sallyport::workload {
namespace {

using codec::Value;
using Data = std::map<std::string, std::string>;

class Resolver {
 public:
  Resolver(const k8s::Pod& pod, const std::vector<k8s::AnyObject>& objects) : pod_(pod) {
    static const Value kNone;
    spec_ = pod.raw ? &(*pod.raw)["spec"] : &kNone;
    for (const k8s::AnyObject& object : objects) {
      if (k8s::base_of(object).meta.ns != pod.meta.ns) continue;
      if (const auto* map = std::get_if<k8s::ConfigMap>(&object))
        config_maps_[map->meta.name] = &map->data;
      else if (const auto* secret = std::get_if<k8s::Secret>(&object))
        secrets_[secret->meta.name] = &secret->data;
    }
  }

  std::expected<References, std::vector<k8s::Diagnostic>> run() {
    containers(pod_.spec.init_containers, "initContainers");
    containers(pod_.spec.containers, "containers");
    for (size_t i = 0; i < pod_.spec.volumes.size(); ++i) volume(i);
    if (!errors_.empty()) return std::unexpected(std::move(errors_));
    return std::move(references_);
  }

 private:
  void containers(const std::vector<k8s::Container>& list, std::string_view member) {
    const std::vector<Value>& raws = (*spec_)[member].items();
    for (size_t i = 0; i < list.size(); ++i) {
      static const Value kNone;
      const Value& raw = i < raws.size() ? raws[i] : kNone;
      const std::string path = "spec." + std::string(member) + "[" + std::to_string(i) + "]";
      for (size_t j = 0; j < list[i].env_from.size(); ++j)
        env_from(list[i].env_from[j], at(raw["envFrom"], j),
                 path + ".envFrom[" + std::to_string(j) + "]");
      for (size_t j = 0; j < list[i].env.size(); ++j)
        env(list[i].env[j], at(raw["env"], j), path + ".env[" + std::to_string(j) + "]");
    }
  }

  void env_from(const k8s::EnvFrom& from, const Value& raw, const std::string& path) {
    const std::string_view member = from.secret ? "secretRef" : "configMapRef";
    find(from.secret, from.name, from.optional, raw[member], path + "." + std::string(member));
  }

  void env(const k8s::EnvVar& var, const Value& raw, const std::string& path) {
    const bool secret = var.from == k8s::EnvVar::From::kSecret;
    if (!secret && var.from != k8s::EnvVar::From::kConfigMap) return;
    const std::string_view member = secret ? "secretKeyRef" : "configMapKeyRef";
    const Value& node = raw["valueFrom"][member];
    const std::string field = path + ".valueFrom." + std::string(member);
    const Data* data = find(secret, var.ref_name, var.optional, node, field);
    if (data != nullptr && !var.optional && !data->contains(var.ref_key))
      missing_key(secret, var.ref_name, var.ref_key, node["key"], field + ".key");
  }

  void volume(size_t index) {
    const k8s::Volume& volume = pod_.spec.volumes[index];
    if (volume.kind == k8s::Volume::Kind::kEmptyDir) return;
    const bool secret = volume.kind == k8s::Volume::Kind::kSecret;
    const std::string_view member = secret ? "secret" : "configMap";
    const Value& node = at((*spec_)["volumes"], index)[member];
    const std::string field = "spec.volumes[" + std::to_string(index) + "]." + std::string(member);
    const Data* data = find(secret, volume.source, volume.optional, node, field);
    if (data == nullptr || volume.optional) return;
    for (size_t i = 0; i < volume.items.size(); ++i) {
      if (!data->contains(volume.items[i].key))
        missing_key(secret, volume.source, volume.items[i].key, at(node["items"], i)["key"],
                    field + ".items[" + std::to_string(i) + "].key");
    }
  }

  // Remembers the object for the answer; null and an error where it is not there.
  const Data* find(bool secret, const std::string& name, bool optional, const Value& node,
                   const std::string& field) {
    const auto& known = secret ? secrets_ : config_maps_;
    auto found = known.find(name);
    if (found == known.end()) {
      if (!optional) {
        const std::string_view kind = secret ? "Secret" : "ConfigMap";
        const std::string_view member = node.find("secretName") != nullptr ? "secretName" : "name";
        const Value& at_name = node[member];
        add(at_name.mark.line != 0 ? at_name : node, field + "." + std::string(member),
            std::string(kind) + " \"" + name + "\" does not exist in the namespace \"" +
                pod_.meta.ns + "\"; expected one of that name, or \"optional: true\"");
      }
      return nullptr;
    }
    (secret ? references_.secrets : references_.config_maps).try_emplace(name, *found->second);
    return found->second;
  }

  void missing_key(bool secret, const std::string& name, const std::string& key, const Value& node,
                   const std::string& field) {
    add(node, field,
        std::string(secret ? "Secret" : "ConfigMap") + " \"" + name + "\" has no key \"" + key +
            "\"; expected it there, or \"optional: true\"");
  }

  void add(const Value& node, std::string field, std::string message) {
    k8s::Diagnostic error;
    error.origin = pod_.origin;
    if (node.mark.line != 0) error.origin.mark = node.mark;
    error.object = "Pod/" + pod_.meta.ns + "/" + pod_.meta.name;
    error.field_path = std::move(field);
    error.message = std::move(message);
    errors_.push_back(std::move(error));
  }

  static const Value& at(const Value& list, size_t index) {
    static const Value kNone;
    return index < list.items().size() ? list.items()[index] : kNone;
  }

  const k8s::Pod& pod_;
  const Value* spec_ = nullptr;
  std::map<std::string, const Data*> config_maps_, secrets_;
  References references_;
  std::vector<k8s::Diagnostic> errors_;
};

}  // namespace

std::expected<References, std::vector<k8s::Diagnostic>> resolve_refs(
    const k8s::Pod& pod, const std::vector<k8s::AnyObject>& objects) {
  return Resolver(pod, objects).run();
}

}  // namespace sallyport::workload
