// The parts of a proxy's configuration: pods, mesh settings, and objects as Kubernetes writes them.
// Internal to this module.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "codec/value.h"
#include "world/world.h"

namespace sallyport::mesh {

// One value of the configuration with its place; every wrong type is an error that names it.
class ConfigReader {
 public:
  ConfigReader(const codec::Value& value, std::string path)
      : value_(&value), path_(std::move(path)) {}

  ConfigReader operator[](std::string_view key) const {
    return {(*value_)[key], path_ + "." + std::string(key)};
  }
  [[nodiscard]] const codec::Value& value() const { return *value_; }
  [[nodiscard]] std::unexpected<Error> wrong(std::string_view what) const {
    return fail(Code::kInvalid, path_ + ": " + std::string(what));
  }
  // A map with no other members.
  [[nodiscard]] Status only(std::initializer_list<std::string_view> known) const;
  [[nodiscard]] Result<int64_t> number(int64_t least, int64_t most) const;
  [[nodiscard]] Result<bool> boolean() const;
  [[nodiscard]] Result<std::string> text() const;
  [[nodiscard]] Result<const std::vector<codec::Value>*> items() const;
  [[nodiscard]] Result<std::map<std::string, std::string>> text_map() const;

 private:
  const codec::Value* value_;
  std::string path_;
};

codec::Value encode_settings(const k8s::MeshSettings& settings);
Status decode_settings(const ConfigReader& in, k8s::MeshSettings& out);

codec::Value encode_pod(const world::Endpoint& pod);
Status decode_pod(const ConfigReader& in, world::Endpoint& out);

// Namespaces, nodes, Services and policies.
codec::Value encode_objects(const world::World& world);
[[nodiscard]] bool belongs_in_config(const k8s::AnyObject& object);

}  // namespace sallyport::mesh
