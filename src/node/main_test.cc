// The test program is also the program that start_echo() starts: with "echo" as its first argument
// it is the echo server.
#include <gtest/gtest.h>

#include <string_view>

#include "node/echo.h"

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "echo")
    return sallyport::node::echo_main(argc - 1, argv + 1);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
