// Manifests from files: YAML and JSON documents to validated objects, or errors with positions.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "k8s/objects.h"

namespace sallyport::k8s {

struct Diagnostic {
  enum class Severity { kError, kWarning };
  Severity severity = Severity::kError;
  Origin origin;           // file:line:column of the offending field
  std::string object;      // "NetworkPolicy/inference/default-deny-all", or empty
  std::string field_path;  // "spec.ingress[0].ports[1].endPort", or empty
  std::string message;     // what was wrong, what was expected

  // "file:line:column: kind/name: field.path: message"
  [[nodiscard]] std::string to_string() const;
};

// "NetworkPolicy/inference/default-deny-all"; cluster-scoped: "Namespace/inference".
std::string name_of(const Object& object);

struct Manifest {
  std::vector<AnyObject> objects;       // in file order; only the valid ones
  std::vector<Diagnostic> diagnostics;  // in file order
  [[nodiscard]] bool ok() const;        // no diagnostic is an error
};

// All objects of one text. A `kind: List` is unfolded. Never throws, never crashes.
Manifest parse_manifest(std::string_view text, const std::string& file);

// What the files had the last time: a file with the same text is not parsed again. One owner, one
// thread.
struct ManifestCache {
  struct File {
    std::string text;
    Manifest parsed;
  };
  std::map<std::string, File> files;  // by path
};

// FILE, or every *.yaml, *.yml and *.json below DIR (sorted, recursive, no hidden names). Two
// objects with one kind, namespace and name are an error at the second.
Manifest load_manifest(const std::string& path, ManifestCache* cache = nullptr);

}  // namespace sallyport::k8s
