#include "k8s/decode.h"
#include "k8s/quantity.h"

namespace sallyport::k8s {
namespace {

std::vector<KeyToPath> decode_items(const Field& field) {
  std::vector<KeyToPath> items;
  for (const Field& item : field.items()) {
    KeyToPath entry;
    entry.key = item["key"].text();
    entry.path = item["path"].text();
    if (item["mode"].present()) entry.mode = item["mode"].number();
    items.push_back(std::move(entry));
  }
  return items;
}

// The one source of the volume; more are an error, none means an emptyDir.
std::string source_of(const Field& volume) {
  std::string source;
  for (const Field& entry : volume.entries()) {
    if (entry.key() == "name" || !entry.present()) continue;
    const TypeSchema* schema = find_type("Volume");
    if (schema == nullptr || schema->find(entry.key()) == nullptr) continue;
    if (!source.empty())
      entry.error_at_key("a second source beside " + source + ", expected exactly one");
    else
      source = entry.key();
  }
  return source.empty() ? "emptyDir" : source;
}

}  // namespace

std::vector<Volume> decode_volumes(const Field& field, std::set<std::string>& names) {
  std::vector<Volume> volumes;
  for (const Field& item : field.items()) {
    Volume volume;
    volume.name = item["name"].text();
    if (!volume.name.empty() && !names.insert(volume.name).second)
      item["name"].error(quoted(volume.name) + " is a duplicate");
    std::string source = source_of(item);
    if (source == "configMap" || source == "secret") {
      bool secret = source == "secret";
      Field config = item[source];
      volume.kind = secret ? Volume::Kind::kSecret : Volume::Kind::kConfigMap;
      volume.source = config[secret ? "secretName" : "name"].text();
      volume.items = decode_items(config["items"]);
      volume.default_mode = config["defaultMode"].number(0644);
      volume.optional = config["optional"].boolean();
    } else if (source == "emptyDir") {
      Field config = item["emptyDir"];
      const std::string& medium = config["medium"].text();
      volume.in_memory = medium == "Memory";
      if (!medium.empty() && !volume.in_memory && !medium.starts_with("HugePages"))
        config["medium"].error(quoted(medium) + " is not supported, expected \"\" or \"Memory\"");
      Field limit = config["sizeLimit"];
      if (limit.present())
        volume.size_limit = parse_quantity(limit.text()).value_or(limit.integer());
    } else {
      continue;
    }
    volumes.push_back(std::move(volume));
  }
  return volumes;
}

}  // namespace sallyport::k8s
