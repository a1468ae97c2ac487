// links: base codec k8s world policy jwt authz http mesh analysis
//
// Mesh policies from untrusted manifests, and questions about them. The input is manifests, then,
// after a line "===", queries of `explain --batch`. Beside not crashing: every diagnostic has a
// place, every query gets one JSON object of a known form, and a refused pod stays refused when it
// is asked again.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "analysis/explain_batch.h"
#include "analysis/mesh_lints.h"
#include "codec/json.h"
#include "k8s/manifest.h"
#include "k8s/mesh_settings.h"
#include "k8s/node_support.h"
#include "policy/verdict.h"
#include "world/world.h"

namespace {

namespace analysis = sallyport::analysis;
namespace codec = sallyport::codec;
namespace k8s = sallyport::k8s;
namespace mesh = sallyport::mesh;
namespace world = sallyport::world;

constexpr std::string_view kSeparator = "\n===\n";
constexpr size_t kMostPods = 8;

[[noreturn]] void broken(const char* what, const std::string& text) {
  std::fprintf(stderr, "%s\n---\n%s\n", what, text.c_str());
  std::abort();
}

void check_places(const std::vector<k8s::Diagnostic>& diagnostics) {
  for (const k8s::Diagnostic& d : diagnostics)
    if (d.origin.mark.line <= 0) broken("no place", d.to_string());
}

void ask_about_pods(const world::World& all) {
  const size_t count = std::min(all.endpoints.size(), kMostPods);
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < count; ++j) {
      sallyport::policy::Query query;
      query.from_pod = &all.endpoints[i];
      query.to_pod = &all.endpoints[j];
      query.port = 8080;
      analysis::MeshQuery question;
      question.http.emplace();
      question.http->headers = {{"x-tenant", "acme"}};
      for (auto unlabelled : {mesh::UnlabelledPods::kIn, mesh::UnlabelledPods::kOut}) {
        auto first = analysis::judge_mesh(all, query, question, unlabelled);
        auto second = analysis::judge_mesh(all, query, question, unlabelled);
        if (first.has_value() != second.has_value()) broken("a gate that comes and goes", "");
        if (!first) continue;
        std::string text = codec::write_json(analysis::mesh_value(*first));
        if (text != codec::write_json(analysis::mesh_value(*second)))
          broken("another answer", text);
        if (analysis::mesh_text(*first, 8080).empty()) broken("no words", text);
      }
    }
  }
}

void ask_queries(const world::World& all, std::string_view queries) {
  size_t answers = 0;
  auto summary = analysis::explain_batch(
      all, queries,
      [&](std::string_view line) {
        ++answers;
        auto parsed = codec::parse_json(line);
        if (!parsed || !parsed->is_map()) broken("an answer that is no JSON", std::string(line));
        if (parsed->find("error") != nullptr) return;
        const std::string& verdict = (*parsed)["verdict"].as_string();
        bool refused = verdict == "deny" || verdict == "reject";
        if (!refused && verdict != "allow") broken("no verdict", std::string(line));
        if (refused == (*parsed)["gate"].is_null())
          broken("the gate is not named", std::string(line));
      },
      mesh::UnlabelledPods::kIn);
  if (answers != summary.answered + summary.failed) broken("lines are missing", "");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t split = text.find(kSeparator);
  k8s::Manifest manifest = k8s::parse_manifest(text.substr(0, split), "fuzz.yaml");
  check_places(manifest.diagnostics);
  check_places(k8s::unsupported_by_node(manifest));
  check_places(k8s::unsupported_by_node(manifest, true));
  check_places(analysis::mesh_lints(manifest.objects));
  const world::World all = world::from_objects(manifest.objects);
  ask_about_pods(all);
  if (split != std::string_view::npos) ask_queries(all, text.substr(split + kSeparator.size()));
  return 0;
}
