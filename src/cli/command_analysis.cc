// explain and check: offline, or against the running node.
#include <fstream>
#include <iostream>

#include "analysis/check.h"
#include "analysis/explain_batch.h"
#include "analysis/explain_point.h"
#include "base/fs.h"
#include "base/strings.h"
#include "cli/command.h"
#include "codec/json.h"
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

// What the options say of the mesh gate, in the form of a batch query.
Result<Value> mesh_question(const Args& args) {
  Value out = Value::map();
  if (args.has("--mtls")) {
    std::string text = args.get("--mtls");
    if (text != "true" && text != "false")
      return fail(Code::kInvalid, "--mtls: expected true or false");
    out.set("mtls", Value::boolean(text == "true"));
  }
  if (args.has("--principal")) out.set("principal", args.get("--principal"));
  if (args.has("--sni")) out.set("sni", args.get("--sni"));
  bool http = false;
  for (const char* option : {"--method", "--path", "--host", "--header", "--jwt"})
    http = http || args.has(option);
  if (!http) return out;
  Value& request = out.set("http", Value::map());
  request.set("method", args.get("--method", "GET"));
  request.set("path", args.get("--path", "/"));
  if (args.has("--host")) request.set("host", args.get("--host"));
  Value& headers = request.set("headers", Value::list());
  for (const std::string& header : args.all("--header")) {
    size_t colon = header.find(':', 1);  // the name may begin with one
    if (colon == std::string::npos)
      return fail(Code::kInvalid, "--header: expected \"NAME: VALUE\", got \"" + header + "\"");
    Value pair = Value::list();
    pair.push(Value::string(header.substr(0, colon)));
    pair.push(Value::string(trim(std::string_view(header).substr(colon + 1))));
    headers.push(std::move(pair));
  }
  if (args.has("--jwt")) {
    auto claims = codec::parse_json(args.get("--jwt"));
    if (!claims || !claims->is_map())
      return fail(Code::kInvalid, "--jwt: expected the claims as a JSON object");
    request.set("jwt", std::move(*claims));
  }
  return out;
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
      std::cout << analysis::explain_batch_line(*world, line, ok, mesh::UnlabelledPods::kIn)
                << "\n";
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
  auto question = mesh_question(args);
  if (!question) return print_error(question.error());
  if (args.has("--world")) {
    auto world = offline_world(args.get("--world"));
    if (!world) return print_error(world.error());
    analysis::PointMesh mesh{{}, mesh::UnlabelledPods::kIn};
    auto query = analysis::decode_mesh_query(*question);
    if (!query) return print_error(query.error());
    mesh.query = std::move(*query);
    auto answer = analysis::explain_point(*world, args.words()[0], args.words()[1], {}, mesh);
    if (!answer) return print_error(answer.error());
    std::cout << answer->text;
    return answer->allow ? kOk : kNo;
  }
  Value request = Value::map();
  request.set("op", "explain");
  request.set("from", args.words()[0]);
  request.set("to", args.words()[1]);
  request.set("mesh", std::move(*question));
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
      "explain FROM TO[:PORT[/PROTOCOL]] [--method M --path P ...] [--world PATH] | explain "
      "--batch "
      "FILE [--world PATH]";
  spec.summary = "say which rule of which policy decides, and why";
  spec.details =
      "FROM and TO are pods (NS/POD), addresses, or svc/NS/NAME. Against the running node, or "
      "with\n"
      "--world against manifests alone, where every pod counts as one of the mesh that does not "
      "opt\n"
      "out. Exits 0 for allow, 1 for deny, 2 for an error. Both gates are asked; for a pod of the\n"
      "mesh, --method, --path and the like say which request.\n"
      "--batch reads one JSON query a line (- is standard input) and answers in the same order.";
  spec.examples = {"sallyport explain attacker/attacker-0 svc/inference/model-server:8080",
                   "sallyport explain api-gateway/gateway-0 inference/model-server-0:8080 --method "
                   "POST --path /props",
                   "sallyport explain 203.0.113.7 api-gateway/gateway-0:80 --world manifests/"};
  spec.options = {
      name_option(),
      {"--world", 0, "PATH", "manifests (a file or directory) instead of the node"},
      {"--batch", 0, "FILE", "queries as JSON lines"},
      {"--method", 0, "METHOD", "of the request (default GET)"},
      {"--path", 0, "PATH", "of the request, as sent (default /)"},
      {"--host", 0, "HOST", "of the request"},
      {"--header", 0, "NAME: VALUE", "of the request; may be repeated"},
      {"--jwt", 0, "JSON", "claims of a verified token"},
      {"--mtls", 0, "BOOL", "does the caller use mutual TLS (default: as its pod does)"},
      {"--principal", 0, "SPIFFE-ID", "of the caller (default: its service account)"},
      {"--sni", 0, "NAME", "of the caller's TLS"}};
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
