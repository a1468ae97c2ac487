#include <cstdio>
#include <string>
#include <string_view>

#include "base/strings.h"
#include "dns/server.h"

namespace sallyport::dns {
namespace {

constexpr char kUsage[] =
    "usage: sallyport dns --records FILE [--port PORT]\n"
    "Serves the names of a cluster over UDP and TCP; the node starts it as a pod.\n";

int wrong(const std::string& what) {
  std::fprintf(stderr, "sallyport dns: %s\n%s", what.c_str(), kUsage);
  return 2;
}

}  // namespace

int dns_main(int argc, char** argv) {
  std::string records;
  uint16_t port = 53;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--help" || option == "-h") {
      std::fputs(kUsage, stdout);
      return 0;
    }
    if (option != "--records" && option != "--port")
      return wrong("unknown argument \"" + std::string(option) + "\"");
    if (++i == argc) return wrong(std::string(option) + " needs a value");
    if (option == "--records") {
      records = argv[i];
      continue;
    }
    const auto number = parse_number<uint16_t>(argv[i]);
    if (!number || *number == 0)
      return wrong("--port is \"" + std::string(argv[i]) + "\"; expected 1 to 65535");
    port = *number;
  }
  if (records.empty()) return wrong("--records FILE is missing");
  return serve(records, port);
}

}  // namespace sallyport::dns
