#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "cli/command.h"
#include "codec/json.h"
#include "codec/yaml.h"
#include "standalone/run_dir.h"

namespace sallyport::cli {
namespace {

std::string overview() {
  std::string out =
      "Sallyport puts two gates on every connection of an AI pipeline.\n\n"
      "usage: sallyport COMMAND [ARGUMENTS]\n\ncommands:\n";
  for (const Command& command : commands()) {
    if (command.spec.internal) continue;
    std::string left = "  " + command.spec.name;
    left.resize(16, ' ');
    out += left + command.spec.summary + "\n";
  }
  return out + "\n`sallyport help COMMAND` tells more of each.\n";
}

const Command* find_command(const std::string& name) {
  for (const Command& command : commands())
    if (command.spec.name == name) return &command;
  return nullptr;
}

}  // namespace

const std::vector<Command>& commands() {
  static const std::vector<Command> kCommands = [] {
    std::vector<Command> all = {up_command(),        down_command(),         get_command(),
                                exec_command(),      logs_command(),         status_command(),
                                flows_command(),     explain_command(),      check_command(),
                                metrics_command(),   port_forward_command(), version_command(),
                                completion_command()};
    for (Command& command : internal_commands()) all.push_back(std::move(command));
    return all;
  }();
  return kCommands;
}

int print_error(const std::string& text) {
  std::fflush(stdout);
  std::cerr << "error: " << text << "\n";
  return kError;
}

int print_error(const Error& error) {
  return print_error(error.message);
}

OptionSpec name_option() {
  return {"--name", 0, "NAME", "the run (default: default)"};
}

Result<admin::Client> connect_node(const Args& args) {
  std::string name = args.get("--name", "default");
  SP_TRY(standalone::RunPaths paths, standalone::run_paths(name));
  if (::geteuid() != 0)
    return fail(Code::kInvalid,
                "only root may speak to the node (" + paths.admin_socket + "): run this as root");
  auto client = admin::Client::connect(paths.admin_socket);
  if (client) return client;
  return fail(Code::kNotFound,
              "no node of the run \"" + name +
                  "\" is active here (`sallyport up DIR` starts one): " + client.error().message);
}

Result<Answer> ask(const Args& args, const codec::Value& request) {
  SP_TRY(admin::Client client, connect_node(args));
  SP_CHECK_OK(client.request(request));
  Answer answer;
  while (true) {
    SP_TRY(std::optional<codec::Value> record, client.next());
    if (!record) break;
    answer.records.push_back(std::move(*record));
  }
  answer.exit_code = client.exit_code();
  return answer;
}

PodName parse_pod_name(const std::string& word, const Args& args) {
  size_t slash = word.find('/');
  if (slash == std::string::npos) return {args.get("--namespace", "default"), word};
  return {word.substr(0, slash), word.substr(slash + 1)};
}

Result<bool> print_structured(const Args& args, const codec::Value& value) {
  std::string format = args.get("--output");
  if (format.empty() || format == "wide") return false;
  if (format == "json")
    std::cout << codec::write_json(value, 4) << "\n";
  else if (format == "yaml")
    std::cout << codec::write_yaml(value);
  else
    return fail(Code::kInvalid,
                "unknown output format \"" + format + "\"; expected json, yaml or wide");
  return true;
}

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(true);
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty()) {
    std::cout << overview();
    return kError;
  }
  if (words[0] == "help" || words[0] == "--help" || words[0] == "-h") {
    if (words.size() < 2) {
      std::cout << overview();
      return kOk;
    }
    const Command* command = find_command(words[1]);
    if (!command) return print_error("there is no command \"" + words[1] + "\"");
    std::cout << help_text(command->spec);
    return kOk;
  }
  const Command* command = find_command(words[0]);
  if (!command)
    return print_error("there is no command \"" + words[0] + "\"; `sallyport help` lists them");
  if (command->raw) return command->raw(argc, argv);
  std::vector<std::string> rest(words.begin() + 1, words.end());
  for (const std::string& word : rest) {
    if (word == "--") break;
    if (word == "--help" || word == "-h") {
      std::cout << help_text(command->spec);
      return kOk;
    }
  }
  auto args = Args::parse(command->spec, rest);
  if (!args) return print_error(args.error());
  return command->run(*args);
}

}  // namespace sallyport::cli
