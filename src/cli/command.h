// The commands of the binary. Each has a file command_NAME.cc; commands.cc lists them.
#pragma once

#include <string>
#include <vector>

#include "admin/client.h"
#include "cli/args.h"

namespace sallyport::cli {

inline constexpr int kOk = 0;
inline constexpr int kNo = 1;     // a negative answer: denied, invalid, not found
inline constexpr int kError = 2;  // the command could not be carried out

struct Command {
  CommandSpec spec;
  int (*run)(const Args& args);
  // Internal subcommands get the whole command line of the process.
  int (*raw)(int argc, char** argv) = nullptr;
};

const std::vector<Command>& commands();

// Entry point of the binary.
int main(int argc, char** argv);

// Prints "error: TEXT" and returns kError.
int print_error(const std::string& text);
int print_error(const Error& error);

// The option that every command about a running node has.
OptionSpec name_option();
// A connection to the node of --name (default "default"); the error says how to start one.
Result<admin::Client> connect_node(const Args& args);

// One request whose records are collected; an error of the node is an error here.
struct Answer {
  std::vector<codec::Value> records;
  int exit_code = 0;
};
Result<Answer> ask(const Args& args, const codec::Value& request);

// "NS/POD", or "POD" in the namespace of -n (default "default").
struct PodName {
  std::string ns, name;
};
PodName parse_pod_name(const std::string& word, const Args& args);

// json or yaml by -o, else nothing; kInvalid for another format.
Result<bool> print_structured(const Args& args, const codec::Value& value);

Command up_command();
Command down_command();
Command get_command();
Command exec_command();
Command logs_command();
Command status_command();
Command port_forward_command();
Command metrics_command();
Command flows_command();
Command explain_command();
Command check_command();
Command version_command();
Command completion_command();
std::vector<Command> internal_commands();

}  // namespace sallyport::cli
