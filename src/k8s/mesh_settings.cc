#include "k8s/mesh_settings.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "codec/json.h"
#include "codec/yaml.h"
#include "k8s/field.h"
#include "k8s/formats.h"

namespace sallyport::k8s {
namespace {

using codec::Value;
using Severity = Diagnostic::Severity;

constexpr std::string_view kNamespace = "istio-system";
constexpr std::string_view kName = "istio";
constexpr std::string_view kKey = "mesh";
constexpr int kMostTrustedProxies = 100;
constexpr size_t kMostTrustDomain = 255;

// SPIFFE: lower-case letters, digits, ".", "-", "_".
bool is_trust_domain(std::string_view text) {
  return !text.empty() && text.size() <= kMostTrustDomain &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
                  c == '_';
         });
}

class SettingsReader {
 public:
  SettingsReader(const ConfigMap& map, std::vector<Diagnostic>& out)
      : sink_{map.origin.file, name_of(map), &out, 0, nullptr}, place_(map.origin.mark) {
    if (map.raw) {
      const codec::Mark& mark = (*map.raw)["data"][kKey].mark;
      if (mark.line > 0) place_ = mark;
    }
  }

  MeshSettings read(const std::string& text) {
    auto documents = codec::parse_yaml(text);
    if (!documents) {
      error("", documents.error().mark, documents.error().message);
      return out_;
    }
    std::erase_if(*documents, [](const Value& document) { return document.is_null(); });
    if (documents->empty()) return out_;
    const Value& root = documents->front();
    if (documents->size() > 1 || !root.is_map()) {
      error("", root.mark, "expected one map, the fields of MeshConfig");
      return out_;
    }
    for (const Value::Member& member : root.members()) field(member);
    check_format();
    warn();
    return out_;
  }

 private:
  void field(const Value::Member& member) {
    const Value& value = member.value;
    if (value.is_null()) return;
    const std::string& key = member.key;
    if (key == "trustDomain")
      trust_domain(value);
    else if (key == "rootNamespace")
      root_namespace(value);
    else if (key == "pathNormalization")
      path_normalization(value);
    else if (key == "accessLogFile")
      text(value, key, out_.access_log_file);
    else if (key == "accessLogEncoding")
      encoding(value);
    else if (key == "accessLogFormat")
      text(value, key, out_.access_log_format), format_mark_ = value.mark;
    else if (key == "defaultConfig")
      default_config(value);
    else
      unread_.push_back(key);
  }

  bool text(const Value& value, const std::string& path, std::string& into) {
    if (!value.is_string()) {
      error(path, value.mark, "expected a string, got a " + std::string(value.type_name()));
      return false;
    }
    into = value.as_string();
    return true;
  }

  void trust_domain(const Value& value) {
    std::string name;
    if (!text(value, "trustDomain", name)) return;
    if (is_trust_domain(name))
      out_.trust_domain = name;
    else
      error(
          "trustDomain", value.mark,
          quoted(name) + ": expected 1 to 255 lower-case letters, digits, \".\", \"-\" and \"_\"");
  }

  void root_namespace(const Value& value) {
    std::string name;
    if (!text(value, "rootNamespace", name)) return;
    auto wrong = check_dns_label(name);
    if (!wrong)
      out_.root_namespace = name;
    else
      error("rootNamespace", value.mark, quoted(name) + ": " + *wrong);
  }

  void path_normalization(const Value& value) {
    if (!value.is_map())
      return error("pathNormalization", value.mark,
                   "expected a map, got a " + std::string(value.type_name()));
    for (const Value::Member& member : value.members()) {
      std::string path = "pathNormalization." + member.key;
      std::string name;
      if (member.key != "normalization") {
        unread_.push_back(path);
        continue;
      }
      if (member.value.is_null() || !text(member.value, path, name)) continue;
      constexpr std::array<std::pair<std::string_view, PathNormalization>, 5> kModes{
          {{"DEFAULT", PathNormalization::kMergeSlashes},
           {"NONE", PathNormalization::kNone},
           {"BASE", PathNormalization::kBase},
           {"MERGE_SLASHES", PathNormalization::kMergeSlashes},
           {"DECODE_AND_MERGE_SLASHES", PathNormalization::kDecodeAndMergeSlashes}}};
      auto found = std::find_if(kModes.begin(), kModes.end(),
                                [&](const auto& mode) { return mode.first == name; });
      if (found != kModes.end())
        out_.path_normalization = found->second;
      else
        error(path, member.value.mark,
              quoted(name) +
                  " is not supported, expected DEFAULT, NONE, BASE, MERGE_SLASHES or "
                  "DECODE_AND_MERGE_SLASHES");
    }
  }

  void encoding(const Value& value) {
    std::string name;
    if (!text(value, "accessLogEncoding", name)) return;
    if (name == "TEXT" || name == "JSON")
      out_.access_log_json = name == "JSON";
    else
      error("accessLogEncoding", value.mark,
            quoted(name) + " is not supported, expected TEXT or JSON");
  }

  // A template that is no JSON object would make no line at all.
  void check_format() {
    if (!out_.access_log_json || out_.access_log_format.empty()) return;
    auto parsed = codec::parse_json(out_.access_log_format, 64 << 10);
    if (parsed && parsed->is_map()) return;
    error("accessLogFormat", format_mark_,
          "with accessLogEncoding JSON it must be a JSON object" +
              (parsed ? std::string() : ": " + parsed.error().message));
    out_.access_log_format.clear();
  }

  void default_config(const Value& value) {
    if (!value.is_map())
      return error("defaultConfig", value.mark,
                   "expected a map, got a " + std::string(value.type_name()));
    for (const Value::Member& member : value.members()) {
      std::string path = "defaultConfig." + member.key;
      if (member.value.is_null()) continue;
      if (member.key != "gatewayTopology") {
        unread_.push_back(path);
        continue;
      }
      if (!member.value.is_map()) {
        error(path, member.value.mark,
              "expected a map, got a " + std::string(member.value.type_name()));
        continue;
      }
      for (const Value::Member& field : member.value.members()) topology(field, path);
    }
  }

  void topology(const Value::Member& member, const std::string& parent) {
    std::string path = parent + "." + member.key;
    if (member.value.is_null()) return;
    if (member.key != "numTrustedProxies") {
      unread_.push_back(path);
      return;
    }
    auto number = whole_number(member.value);
    if (number && *number >= 0 && *number <= kMostTrustedProxies)
      out_.trusted_proxies = static_cast<int>(*number);
    else
      error(path, member.value.mark,
            "expected a number from 0 to " + std::to_string(kMostTrustedProxies));
  }

  // The text has lines of its own, which the ConfigMap's place does not tell.
  void error(const std::string& path, const codec::Mark& inner, std::string message) {
    if (inner.line > 0)
      message += " (line " + std::to_string(inner.line) + ", column " +
                 std::to_string(inner.column) + " of the text)";
    sink_.add(Severity::kError, place_, "data.mesh" + (path.empty() ? "" : "." + path),
              std::move(message));
  }

  void warn() {
    if (unread_.empty()) return;
    sink_.add(Severity::kWarning, place_, "data.mesh",
              "fields that are not read and have no effect: " + join(unread_, ", "));
  }

  Sink sink_;
  codec::Mark place_;
  codec::Mark format_mark_;
  MeshSettings out_;
  std::vector<std::string> unread_;
};

}  // namespace

MeshSettings mesh_settings(const std::vector<AnyObject>& objects, std::vector<Diagnostic>& out) {
  for (const AnyObject& any : objects) {
    const auto* map = std::get_if<ConfigMap>(&any);
    if (map == nullptr || map->meta.ns != kNamespace || map->meta.name != kName) continue;
    auto text = map->data.find(std::string(kKey));
    if (text == map->data.end()) continue;
    return SettingsReader(*map, out).read(text->second);
  }
  return {};
}

}  // namespace sallyport::k8s
