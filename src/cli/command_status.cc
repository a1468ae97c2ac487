// status, metrics, version.
#include <unistd.h>

#include <ctime>
#include <iostream>

#include "base/strings.h"
#include "base/table.h"
#include "cli/command.h"
#include "gate/gate.h"
#include "standalone/flow_log.h"
#include "standalone/run_dir.h"
#include "standalone/state.h"

namespace sallyport::cli {
namespace {

using codec::Value;

constexpr char kVersion[] = "0.1.0";

Value simple(std::string_view op) {
  Value request = Value::map();
  request.set("op", op);
  return request;
}

void print_list(std::string_view title, const Value& list) {
  for (const Value& item : list.items()) std::cout << title << item.as_string() << "\n";
}

template <class Text>
std::string numbers(const Value& list, Text&& text) {
  std::vector<std::string> parts;
  for (const Value& item : list.items()) parts.push_back(text(item));
  return join(parts, ",");
}

// Nothing where no pod is meshed.
void print_mesh(const Value& mesh) {
  auto number = [](const Value& v) { return std::to_string(v.as_int()); };
  Table table({"NAMESPACE", "POD", "MESHED", "IDENTITY", "GENERATION", "MODE", "OPEN", "EXCLUDED"});
  size_t meshed = 0;
  for (const Value& pod : mesh["pods"].items()) {
    if (!pod["meshed"].as_bool()) {
      table.add(
          {pod["namespace"].as_string(), pod["name"].as_string(), "no", "-", "-", "-", "-", "-"});
      continue;
    }
    ++meshed;
    std::string mode = pod["mode"].as_string();
    for (const auto& port : pod["portModes"].members())
      mode += " " + port.key + "=" + port.value.as_string();
    std::vector<std::string> excluded;
    if (std::string in = numbers(pod["excludedInboundPorts"], number); !in.empty())
      excluded.push_back("in " + in);
    if (std::string out = numbers(pod["excludedOutboundPorts"], number); !out.empty())
      excluded.push_back("out " + out);
    if (std::string to =
            numbers(pod["excludedOutboundRanges"], [](const Value& v) { return v.as_string(); });
        !to.empty())
      excluded.push_back("to " + to);
    if (std::string udp = numbers(pod["plaintextUdpPorts"], number); !udp.empty())
      excluded.push_back("UDP " + udp + " is plaintext");
    table.add({pod["namespace"].as_string(), pod["name"].as_string(), "yes",
               pod["identity"].as_string(), number(pod["generation"]), mode,
               number(pod["openConnections"]), excluded.empty() ? "-" : join(excluded, "; ")});
  }
  if (meshed == 0) return;
  std::cout << "gate 2       " << meshed << " pods meshed, trust domain "
            << mesh["trustDomain"].as_string() << ", " << mesh["proxies"].items().size()
            << " proxies (isolation: " << mesh["isolation"].as_string() << ")\n";
  for (const Value& proxy : mesh["proxies"].items())
    std::cout << "proxy        " << proxy["group"].as_string() << " (pid " << proxy["pid"].as_int()
              << "), generation " << proxy["generation"].as_int() << ", restarts "
              << proxy["restarts"].as_int() << "\n";
  if (mesh["accessLog"].is_string())
    std::cout << "access log   " << mesh["accessLog"].as_string() << "\n";
  std::cout << table.to_string();
  for (const Value& pod : mesh["pods"].items()) {
    std::string name = pod["namespace"].as_string() + "/" + pod["name"].as_string() + ": ";
    print_list("warning      pod " + name, pod["warnings"]);
    if (pod["problem"].is_string())
      std::cout << "problem      pod " << name << pod["problem"].as_string() << "\n";
  }
}

int status(const Args& args) {
  int64_t wait = 0;
  if (args.has("--wait-ready")) {
    auto seconds = parse_duration(args.get("--wait-ready"));
    if (!seconds) return print_error(seconds.error());
    wait = *seconds;
  }
  std::time_t deadline = std::time(nullptr) + wait;
  while (true) {
    auto answer = ask(args, simple("status"));
    bool ready = answer && answer->records.front()["ready"].as_bool();
    if (wait > 0 && !ready && std::time(nullptr) < deadline) {
      ::usleep(100'000);
      continue;
    }
    if (!answer) return print_error(answer.error());
    const Value& s = answer->records.front();
    auto printed = print_structured(args, s);
    if (!printed) return print_error(printed.error());
    if (!*printed) {
      std::cout << "run          " << s["name"].as_string() << " (pid " << s["pid"].as_int()
                << ")\n"
                << "manifests    " << s["manifests"].as_string() << "\n"
                << "pods         " << s["podsReady"].as_int() << " of " << s["podsWanted"].as_int()
                << " ready\n"
                << "gate 1       generation " << s["generation"].as_int() << ", last change took "
                << s["gate"]["lastPublishMicros"].as_int() << " us\n"
                << "connections  " << s["gate"]["connections"].as_int() << " of "
                << s["gate"]["connectionsLimit"].as_int() << "\n";
      if (int64_t n = s["gate"]["connectionOverflows"].as_int(); n > 0)
        std::cout << "ALARM        " << n
                  << " new connections denied: " << s["gate"]["overflowAdvice"].as_string() << "\n";
      if (int64_t n = s["gate"]["eventsLost"].as_int(); n > 0)
        std::cout << "lost         " << n << " flow events\n";
      print_mesh(s["mesh"]);
      print_list("problem      ", s["problems"]);
      print_list("rejected     ", s["rejectedChange"]);
      print_list("warning      ", s["warnings"]);
    }
    return ready || wait == 0 ? kOk : kNo;
  }
}

int metrics(const Args& args) {
  auto answer = ask(args, simple("metrics"));
  if (!answer) return print_error(answer.error());
  std::cout << answer->records.front()["text"].as_string();
  return kOk;
}

int version(const Args& args) {
  Value out = Value::map();
  out.set("version", kVersion);
  out.set("tableLayout", Value::integer(gate::kLayoutVersion));
  out.set("stateVersion", Value::integer(standalone::kStateVersion));
  out.set("flowSchema", standalone::kFlowSchema);
  auto printed = print_structured(args, out);
  if (!printed) return print_error(printed.error());
  if (!*printed)
    std::cout << "sallyport " << kVersion << " (table layout " << gate::kLayoutVersion << ", state "
              << standalone::kStateVersion << ", flows " << standalone::kFlowSchema << ")\n";
  return kOk;
}

}  // namespace

Command status_command() {
  CommandSpec spec;
  spec.name = "status";
  spec.usage = "status [--wait-ready DURATION] [-o json|yaml]";
  spec.summary = "show the state of the node, and what is wrong";
  spec.examples = {"sallyport status", "sallyport status --wait-ready 60"};
  spec.options = {
      name_option(),
      {"--wait-ready", 0, "DURATION", "wait (60, 90s, 2m) until all is ready; exit 1 if not"},
      {"--output", 'o', "FORMAT", "json or yaml"}};
  return {spec, status};
}

Command metrics_command() {
  CommandSpec spec;
  spec.name = "metrics";
  spec.usage = "metrics";
  spec.summary = "print the node's metrics (Prometheus text)";
  spec.details = "The same text is served at /metrics on the node's address, for pods.";
  spec.examples = {"sallyport metrics | grep verdicts_total"};
  spec.options = {name_option()};
  return {spec, metrics};
}

Command version_command() {
  CommandSpec spec;
  spec.name = "version";
  spec.usage = "version [-o json|yaml]";
  spec.summary = "print version, layout and schema versions";
  spec.examples = {"sallyport version -o json"};
  spec.options = {{"--output", 'o', "FORMAT", "json or yaml"}};
  return {spec, version};
}

}  // namespace sallyport::cli
