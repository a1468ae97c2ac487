// Only `shim`, for the runtime's tests; inside a pod it prints a line, to show that it runs there.
#include <cstdio>
#include <string_view>

#include "runtime/pod_runtime.h"

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "shim")
    return sallyport::runtime::shim_main(argc, argv);
  std::puts("test shim");
  return 0;
}
