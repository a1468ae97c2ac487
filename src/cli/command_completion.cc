// Bash completion, made from the same tables as the help, and the internal subcommands.
#include <iostream>

#include "cli/command.h"
#include "dns/server.h"
#include "node/echo.h"
#include "proxy/process.h"
#include "runtime/pod_runtime.h"

namespace sallyport::cli {
namespace {

int completion(const Args&) {
  std::string names, cases;
  for (const Command& command : commands()) {
    if (command.spec.internal) continue;
    names += command.spec.name + " ";
    std::string words;
    for (const OptionSpec& option : command.spec.options) words += option.name + " ";
    if (command.spec.name == "get")
      words += "pods services policies endpoints namespaces identities all ";
    cases += "    " + command.spec.name + ") words=\"" + words + "\" ;;\n";
  }
  std::cout
      << "# Load with: source <(sallyport completion)\n"
      << "_sallyport() {\n"
      << "  local current=\"${COMP_WORDS[COMP_CWORD]}\" words=\"\"\n"
      << "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      << "    words=\"help " << names << "\"\n"
      << "  else\n"
      << "    case \"${COMP_WORDS[1]}\" in\n"
      << cases << "    esac\n"
      << "    case \"${COMP_WORDS[1]}\" in up|check) COMPREPLY=($(compgen -f -W \"$words\" -- "
         "\"$current\")); return ;; esac\n"
      << "  fi\n"
      << "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      << "}\n"
      << "complete -o default -F _sallyport sallyport\n";
  return kOk;
}

Command internal(const char* name, int (*raw)(int, char**)) {
  CommandSpec spec;
  spec.name = name;
  spec.usage = name;
  spec.summary = "internal: started by the node";
  spec.internal = true;
  return {spec, nullptr, raw};
}

}  // namespace

Command completion_command() {
  CommandSpec spec;
  spec.name = "completion";
  spec.usage = "completion";
  spec.summary = "print a completion script for bash";
  spec.examples = {"source <(sallyport completion)"};
  return {spec, completion};
}

std::vector<Command> internal_commands() {
  return {
      internal("shim", runtime::shim_main), internal("proxy", proxy::proxy_main),
      internal("echo", [](int argc, char** argv) { return node::echo_main(argc - 1, argv + 1); }),
      internal("dns", [](int argc, char** argv) { return dns::dns_main(argc - 1, argv + 1); })};
}

}  // namespace sallyport::cli
