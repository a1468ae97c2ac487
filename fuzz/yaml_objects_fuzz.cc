// links: base codec k8s
//
// Manifests from untrusted text. Beside not crashing: what is written out again as YAML and as JSON
// must be read back as the same objects, and every error must have a place.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "codec/json.h"
#include "codec/yaml.h"
#include "k8s/manifest.h"
#include "k8s/node_support.h"

namespace {

namespace codec = sallyport::codec;
namespace k8s = sallyport::k8s;

[[noreturn]] void broken(const char* what, const std::string& text) {
  std::fprintf(stderr, "%s\n---\n%s\n", what, text.c_str());
  std::abort();
}

void check_round_trip(const k8s::AnyObject& any) {
  const k8s::Object& object = k8s::base_of(any);
  std::string json = codec::write_json(*object.raw);
  std::string yaml = codec::write_yaml(*object.raw);
  for (const auto& [text, file] : {std::pair(yaml, "a.yaml"), std::pair(json, "a.json")}) {
    k8s::Manifest again = k8s::parse_manifest(text, file);
    if (!again.ok()) broken(again.diagnostics[0].to_string().c_str(), text);
    if (again.objects.size() != 1) broken("not one object", text);
    if (codec::write_json(*k8s::base_of(again.objects[0]).raw) != json)
      broken("another object", text + "\n---\n" + json);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  k8s::Manifest manifest = k8s::parse_manifest(text, "fuzz.yaml");
  for (const k8s::Diagnostic& diagnostic : manifest.diagnostics)
    if (diagnostic.origin.mark.line < 1 || diagnostic.origin.mark.column < 1 ||
        diagnostic.message.empty())
      broken("an error without a place", diagnostic.to_string());
  for (const k8s::AnyObject& object : manifest.objects) check_round_trip(object);
  k8s::unsupported_by_node(manifest);
  k8s::parse_manifest(text, "fuzz.json");
  return 0;
}
