#include "k8s/manifest.h"

#include <algorithm>
#include <tuple>

#include "codec/json.h"
#include "codec/yaml.h"
#include "k8s/decode.h"
#include "k8s/field.h"
#include "k8s/formats.h"
#include "k8s/kinds.h"
#include "k8s/shape.h"

namespace sallyport::k8s {
namespace {

using codec::Value;

void check_name(const Field& metadata, const Kind& kind) {
  Field name = metadata["name"];
  if (!metadata.value().is_map() || (name.present() && !name.value().is_string())) return;
  if (name.text().empty()) {
    name.error(metadata["generateName"].present()
                   ? "is missing; generateName alone works only with `kubectl create`"
                   : "is missing; it is required");
    return;
  }
  FormatError wrong;
  switch (kind.name_form) {
    case NameForm::kSubdomain:
      wrong = check_dns_subdomain(name.text());
      break;
    case NameForm::kLabel:
      wrong = check_dns_label(name.text());
      break;
    case NameForm::kLabel1035:
      wrong = check_dns1035_label(name.text());
      break;
    case NameForm::kAny:
      if (name.text() == "." || name.text() == ".." ||
          name.text().find_first_of("/%") != std::string::npos)
        wrong = "expected a name without \"/\" and \"%\"";
      break;
  }
  if (wrong) name.error(quoted(name.text()) + ": " + *wrong);
}

class Reader {
 public:
  Reader(const std::string& file, Manifest& out) : file_(file), out_(out) {}

  void document(const Value& value) {
    if (value.is_null()) return;  // nothing between two separators
    Sink sink{file_, "", &out_.diagnostics, 0, nullptr};
    if (!value.is_map()) {
      sink.add(Diagnostic::Severity::kError, value.mark, "",
               "expected an object (a map with apiVersion, kind and metadata), got a " +
                   std::string(value.type_name()));
      return;
    }
    if (value["kind"].as_string() == "List" && value["apiVersion"].as_string() == "v1")
      list(value);
    else
      object(value);
  }

 private:
  void list(const Value& value) {
    Sink sink{file_, "List", &out_.diagnostics, 0, nullptr};
    for (const Value::Member& member : value.members())
      if (member.key != "apiVersion" && member.key != "kind" && member.key != "metadata" &&
          member.key != "items")
        sink.add(Diagnostic::Severity::kError, member.mark, member.key,
                 "unknown field " + quoted(member.key));
    const Value& items = value["items"];
    if (items.is_null()) return;
    if (!items.is_list()) {
      sink.add(Diagnostic::Severity::kError, items.mark, "items",
               "expected a list, got a " + std::string(items.type_name()));
      return;
    }
    for (const Value& item : items.items()) {
      if (item.is_map() && item["kind"].as_string() == "List")
        sink.add(Diagnostic::Severity::kError, item.mark, "items", "a List inside a List");
      else if (item.is_null())
        sink.add(Diagnostic::Severity::kError, item.mark, "items", "expected an object, got null");
      else
        document(item);
    }
  }

  // apiVersion and kind as texts, or errors.
  bool header(const Value& value, Sink& sink, std::string_view name, std::string& out) {
    const Value* found = value.find(name);
    out = found ? found->as_string() : "";
    if (!out.empty()) return true;
    std::string text = !found || found->is_null() || found->is_string()
                           ? "is missing; it is required"
                           : "expected a string, got a " + std::string(found->type_name());
    sink.add(Diagnostic::Severity::kError, found ? found->mark : value.mark, name, std::move(text));
    return false;
  }

  void object(const Value& value) {
    Sink sink{file_, "", &out_.diagnostics, 0, nullptr};
    std::string api_version;
    std::string kind_name;
    bool sound = header(value, sink, "apiVersion", api_version);
    sound = header(value, sink, "kind", kind_name) && sound;
    if (!sound) return;
    sink.object = kind_name + "/" + value["metadata"]["name"].as_string();
    auto kind = find_kind(api_version, kind_name);
    if (!kind) {
      const Value& at = value[kind.error().starts_with("apiVersion") ? "apiVersion" : "kind"];
      sink.add(Diagnostic::Severity::kError, at.mark,
               kind.error().starts_with("apiVersion") ? "apiVersion" : "kind", kind.error());
      return;
    }
    read(value, *kind, sink);
  }

  void read(const Value& value, const Kind& kind, Sink& sink) {
    size_t first = out_.diagnostics.size();
    bool known = kind.schema != "OtherObject";
    Field root(sink, value, kind.schema);
    Object common;
    common.api_version = value["apiVersion"].as_string();
    common.kind = value["kind"].as_string();
    common.origin = {file_, value.mark};
    common.meta.ns = value["metadata"]["namespace"].as_string();
    common.meta.name = value["metadata"]["name"].as_string();
    if (!kind.namespaced) common.meta.ns.clear();
    if (kind.namespaced && common.meta.ns.empty()) common.meta.ns = "default";
    sink.object = name_of(common);

    if (known)
      check_shape(root);
    else if (root["metadata"].present())
      check_shape(root["metadata"]);
    else
      root["metadata"].error("is missing; it is required");
    std::string ns = common.meta.ns;
    decode_meta(root["metadata"], common.meta);
    common.meta.ns = std::move(ns);
    check_name(root["metadata"], kind);
    common.raw = std::make_shared<Value>(value);
    AnyObject decoded = kind.decode(root, common);

    std::sort(out_.diagnostics.begin() + static_cast<std::ptrdiff_t>(first), out_.diagnostics.end(),
              [](const Diagnostic& a, const Diagnostic& b) {
                auto key = [](const Diagnostic& d) {
                  return std::tie(d.origin.mark.line, d.origin.mark.column, d.field_path,
                                  d.message);
                };
                return key(a) < key(b);
              });
    if (sink.errors == 0) out_.objects.push_back(std::move(decoded));
  }

  const std::string& file_;
  Manifest& out_;
};

}  // namespace

std::string name_of(const Object& object) {
  return object.kind + "/" + (object.meta.ns.empty() ? "" : object.meta.ns + "/") +
         object.meta.name;
}

std::string Diagnostic::to_string() const {
  std::string out = origin.file;
  if (origin.mark.line > 0)
    out += ":" + std::to_string(origin.mark.line) + ":" + std::to_string(origin.mark.column);
  for (const std::string* part : {&object, &field_path})
    if (!part->empty()) out += ": " + *part;
  out += ": ";
  if (severity == Severity::kWarning) out += "warning: ";
  return out + message;
}

bool Manifest::ok() const {
  return std::none_of(diagnostics.begin(), diagnostics.end(), [](const Diagnostic& d) {
    return d.severity == Diagnostic::Severity::kError;
  });
}

Manifest parse_manifest(std::string_view text, const std::string& file) {
  Manifest out;
  std::vector<Value> documents;
  std::optional<codec::TextError> error;
  if (file.ends_with(".json")) {
    auto value = codec::parse_json_marked(text);
    if (value)
      documents.push_back(std::move(*value));
    else
      error = value.error();
  } else {
    auto values = codec::parse_yaml(text);
    if (values)
      documents = std::move(*values);
    else
      error = values.error();
  }
  if (error) {
    out.diagnostics.push_back(
        {Diagnostic::Severity::kError, {file, error->mark}, "", "", error->message});
    return out;
  }
  Reader reader(file, out);
  for (const Value& document : documents) {
    reader.document(document);
    if (out.diagnostics.size() < Sink::kMost) continue;
    out.diagnostics.push_back({Diagnostic::Severity::kError, out.diagnostics.back().origin, "", "",
                               "too many mistakes, the others are not listed"});
    break;
  }
  return out;
}

}  // namespace sallyport::k8s
