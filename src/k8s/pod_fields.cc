#include "k8s/pod_fields.h"

#include <algorithm>

#include "base/strings.h"

namespace sallyport::k8s {
namespace {

// "[]enum:A|B!" as people write it.
std::string type_text(std::string_view expression) {
  TypeRef ref = parse_type(expression);
  std::string element(ref.element);
  if (element.starts_with("enum:")) {
    element = "`" + join(split(element.substr(5), '|'), "`, `") + "`";
  } else if (find_type(ref.element)) {
    std::string anchor = element;
    for (char& c : anchor)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
    element = "[" + element + "](#" + anchor + ")";
  }
  if (ref.shape == TypeRef::Shape::kList) element = "list of " + element;
  if (ref.shape == TypeRef::Shape::kMap) element = "map to " + element;
  return element + (ref.required ? ", required" : "");
}

std::string use_text(const FieldSchema& field) {
  if (field.use == Use::kApplied) return "applied";
  std::string text = field.use == Use::kIgnored ? "**ignored**" : "**refused**";
  text += ": " + std::string(field.note);
  if (!field.harmless.empty()) text += " (`" + std::string(field.harmless) + "` is accepted)";
  return text;
}

void write_type(std::string& out, const TypeSchema& type,
                const std::vector<const TypeSchema*>& listed) {
  out += "## " + std::string(type.name) + "\n\n| Field | Type | On the node |\n|---|---|---|\n";
  for (const FieldSchema& field : type.fields) {
    std::string_view element = parse_type(field.type).element;
    bool has_section = std::any_of(listed.begin(), listed.end(),
                                   [&](const TypeSchema* other) { return other->name == element; });
    std::string text = type_text(field.type);
    // A type whose only use is ignored or refused has no section to link to.
    if (find_type(element) && !has_section)
      text = std::string(element) + (field.type.starts_with("[]") ? ", a list" : "");
    out += "| `" + std::string(field.name) + "` | " + text + " | " + use_text(field) + " |\n";
  }
  out += "\n";
}

// What every object has, and what only the node itself fills.
bool is_common(const TypeSchema& type) {
  return type.name == "ObjectMeta" || type.name == "OwnerReference" || type.name == "PodStatus" ||
         type.name == "PodIP";
}

}  // namespace

std::vector<const TypeSchema*> applied_types(std::string_view root) {
  std::vector<const TypeSchema*> out;
  if (const TypeSchema* type = find_type(root)) out.push_back(type);
  for (size_t i = 0; i < out.size(); ++i) {
    for (const FieldSchema& field : out[i]->fields) {
      if (field.use != Use::kApplied) continue;
      const TypeSchema* next = find_type(parse_type(field.type).element);
      if (next && std::find(out.begin(), out.end(), next) == out.end()) out.push_back(next);
    }
  }
  return out;
}

std::string pod_fields_markdown() {
  std::string out =
      "# What the node does with each field\n\n"
      "<!-- Generated from the field tables (src/k8s/schema_*.cc); a test compares them. -->\n\n"
      "`sallyport check` accepts every field that the API server accepts. On a standalone node\n"
      "(`sallyport up`) each field of a pod, and of the objects that make pods and Services, is\n"
      "one of:\n\n"
      "- **applied**: it works as in a cluster;\n"
      "- **ignored**: it is accepted with a warning that says why it has no effect;\n"
      "- **refused**: it is an error, because running without it would mislead.\n\n"
      "Ignored and refused fields are silent where their value asks for nothing (`false`, `0`,\n"
      "`\"\"`, an empty list, or the value in parentheses). Programs come from the host's file\n"
      "system; `image` is recorded. The limit of processes, for which Kubernetes has no standard\n"
      "name, is the extended resource `sallyport.dev/pids` under `resources.limits`.\n\n";
  std::vector<const TypeSchema*> types;
  for (std::string_view root : {"Pod", "Deployment", "StatefulSet", "Job", "Service", "ConfigMap",
                                "Secret", "ServiceAccount"})
    for (const TypeSchema* type : applied_types(root))
      if (!is_common(*type) && std::find(types.begin(), types.end(), type) == types.end())
        types.push_back(type);
  for (const TypeSchema* type : types) write_type(out, *type, types);
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

}  // namespace sallyport::k8s
