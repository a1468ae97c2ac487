#include "analysis/check.h"

#include <algorithm>

#include "analysis/mesh_lints.h"
#include "codec/json.h"
#include "k8s/mesh_settings.h"

namespace sallyport::analysis {
namespace {

using Severity = k8s::Diagnostic::Severity;

}  // namespace

size_t CheckReport::errors() const {
  return static_cast<size_t>(
      std::count_if(diagnostics.begin(), diagnostics.end(),
                    [](const auto& d) { return d.severity == Severity::kError; }));
}

bool CheckReport::ok() const {
  return errors() == 0;
}

CheckReport check(const std::string& path) {
  k8s::Manifest manifest = k8s::load_manifest(path);
  CheckReport report{manifest.objects.size(), std::move(manifest.diagnostics)};
  for (const k8s::AnyObject& any : manifest.objects) {
    if (!std::holds_alternative<k8s::OtherObject>(any)) continue;
    const k8s::Object& object = k8s::base_of(any);
    report.diagnostics.push_back({Severity::kWarning, object.origin, k8s::name_of(object), "",
                                  "only the metadata of this kind was checked (" +
                                      object.api_version + " " + object.kind + ")"});
  }
  k8s::mesh_settings(manifest.objects, report.diagnostics);
  std::vector<k8s::Diagnostic> lints = mesh_lints(manifest.objects);
  report.diagnostics.insert(report.diagnostics.end(), lints.begin(), lints.end());
  return report;
}

std::string check_text(const CheckReport& report) {
  std::string out;
  for (const k8s::Diagnostic& diagnostic : report.diagnostics) out += diagnostic.to_string() + "\n";
  return out;
}

std::string check_json(const CheckReport& report) {
  using codec::Value;
  Value out = Value::map();
  out.set("schema", "sallyport.dev/check/v1alpha1");
  out.set("ok", Value::boolean(report.ok()));
  out.set("objects", Value::integer(static_cast<int64_t>(report.objects)));
  out.set("errors", Value::integer(static_cast<int64_t>(report.errors())));
  Value& list = out.set("diagnostics", Value::list());
  for (const k8s::Diagnostic& diagnostic : report.diagnostics) {
    Value item = Value::map();
    item.set("severity", diagnostic.severity == Severity::kError ? "error" : "warning");
    item.set("file", diagnostic.origin.file);
    item.set("line", Value::integer(diagnostic.origin.mark.line));
    item.set("column", Value::integer(diagnostic.origin.mark.column));
    item.set("object", diagnostic.object);
    item.set("field", diagnostic.field_path);
    item.set("message", diagnostic.message);
    list.push(std::move(item));
  }
  return codec::write_json(out, 2) + "\n";
}

}  // namespace sallyport::analysis
