// `sallyport check`: would the API server accept these manifests?
#pragma once

#include <string>
#include <vector>

#include "k8s/manifest.h"

namespace sallyport::analysis {

struct CheckReport {
  size_t objects = 0;                        // that are valid
  std::vector<k8s::Diagnostic> diagnostics;  // in file order; warnings do not make it fail
  [[nodiscard]] bool ok() const;
  [[nodiscard]] size_t errors() const;
};

// A file or a directory, as k8s::load_manifest reads it. Kinds of which only the metadata could be
// checked are named in warnings; so are fields of the mesh's settings that are not read, and mesh
// policies that do otherwise than they look (mesh_lints.h).
CheckReport check(const std::string& path);

// One line per diagnostic: "file:line:column: kind/name: field.path: message". Nothing where there
// is none.
std::string check_text(const CheckReport& report);

// {"schema": "sallyport.dev/check/v1alpha1", "ok", "objects", "errors", "diagnostics":
// [{"severity", "file", "line", "column", "object", "field", "message"}]}; pretty-printed, with a
// line feed.
std::string check_json(const CheckReport& report);

}  // namespace sallyport::analysis
