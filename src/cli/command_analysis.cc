// explain and check: offline, or against the running node.
#include <fstream>
#include <iostream>

#include "analysis/check.h"
#include "analysis/explain_batch.h"
#include "analysis/explain_point.h"
#include "base/fs.h"
#include "cli/command.h"
#include "k8s/manifest.h"
#include "workload/offline_world.h"

namespace sallyport::cli {
namespace {

using codec::Value;

Result<world::World> offline_world(const std::string& path) {
  if (!exists(path)) return fail(Code::kNotFound, path + " does not exist");
  k8s::Manifest manifest = k8s::load_manifest(path);
  if (!manifest.ok()) {
    for (const k8s::Diagnostic& d : manifest.diagnostics)
      if (d.severity == k8s::Diagnostic::Severity::kError) std::cerr << d.to_string() << "\n";
    return fail(Code::kInvalid, path + " is not a valid world");
  }
  return workload::world_from_manifests(manifest.objects);
}

Result<std::vector<std::string>> read_lines(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream file;
  if (path != "-") {
    file.open(path);
    if (!file) return fail_errno(path);
  }
  std::istream& in = path == "-" ? std::cin : file;
  for (std::string line; std::getline(in, line);)
    if (line.find_first_not_of(" \t\r") != std::string::npos) lines.push_back(line);
  return lines;
}

int batch(const Args& args) {
  auto lines = read_lines(args.get("--batch"));
  if (!lines) return print_error(lines.error());
  if (args.has("--world")) {
    auto world = offline_world(args.get("--world"));
    if (!world) return print_error(world.error());
    bool all = true;
    for (const std::string& line : *lines) {
      bool ok = true;
      std::cout << analysis::explain_batch_line(*world, line, ok) << "\n";
      all = all && ok;
    }
    return all ? kOk : kError;
  }
  int exit_code = kOk;
  Value request = Value::map();
  request.set("op", "explain-batch");
  // In portions: one request has a bounded size.
  for (size_t i = 0; i < lines->size(); i += 500) {
    Value& list = request.set("lines", Value::list());
    for (size_t j = i; j < std::min(i + 500, lines->size()); ++j)
      list.push(Value::string((*lines)[j]));
    auto answer = ask(args, request);
    if (!answer) return print_error(answer.error());
    for (const Value& record : answer->records) std::cout << record["line"].as_string() << "\n";
    exit_code = std::max(exit_code, answer->exit_code);
  }
  return exit_code;
}

int explain(const Args& args) {
  if (args.has("--batch")) return batch(args);
  if (args.words().size() != 2)
    return print_error("expected FROM and TO, or --batch FILE\nusage: sallyport " +
                       explain_command().spec.usage);
  if (args.has("--world")) {
    auto world = offline_world(args.get("--world"));
    if (!world) return print_error(world.error());
    auto answer = analysis::explain_point(*world, args.words()[0], args.words()[1]);
    if (!answer) return print_error(answer.error());
    std::cout << answer->text;
    return answer->allow ? kOk : kNo;
  }
  Value request = Value::map();
  request.set("op", "explain");
  request.set("from", args.words()[0]);
  request.set("to", args.words()[1]);
  auto answer = ask(args, request);
  if (!answer) return print_error(answer.error());
  std::cout << answer->records.front()["text"].as_string();
  return answer->exit_code;
}

int check(const Args& args) {
  if (!exists(args.words()[0])) return print_error(args.words()[0] + " does not exist");
  std::string format = args.get("--output");
  if (!format.empty() && format != "json") return print_error("--output: only json");
  analysis::CheckReport report = analysis::check(args.words()[0]);
  std::cout << (format == "json" ? analysis::check_json(report) : analysis::check_text(report));
  return report.ok() ? kOk : kNo;
}

}  // namespace

Command explain_command() {
  CommandSpec spec;
  spec.name = "explain";
  spec.usage =
      "explain FROM TO[:PORT[/PROTOCOL]] [--world PATH] | explain --batch FILE [--world PATH]";
  spec.summary = "say which rule of which policy decides, and why";
  spec.details =
      "FROM and TO are pods (NS/POD), addresses, or svc/NS/NAME. Against the running node, or "
      "with\n"
      "--world against manifests alone. Exits 0 for allow, 1 for deny, 2 for an error.\n"
      "--batch reads one JSON query a line (- is standard input) and answers in the same order.";
  spec.examples = {"sallyport explain attacker/attacker-0 svc/inference/model-server:8080",
                   "sallyport explain 203.0.113.7 api-gateway/gateway-0:80 --world manifests/"};
  spec.options = {name_option(),
                  {"--world", 0, "PATH", "manifests (a file or directory) instead of the node"},
                  {"--batch", 0, "FILE", "queries as JSON lines"}};
  spec.max_args = 2;
  return {spec, explain};
}

Command check_command() {
  CommandSpec spec;
  spec.name = "check";
  spec.usage = "check FILE|DIR [-o json]";
  spec.summary = "say whether an API server would accept the manifests";
  spec.details =
      "Exits 0 when every object would be accepted, 1 with one line per error otherwise.";
  spec.examples = {"sallyport check examples/ai-pipeline"};
  spec.options = {{"--output", 'o', "FORMAT", "json"}};
  spec.min_args = spec.max_args = 1;
  return {spec, check};
}

}  // namespace sallyport::cli
