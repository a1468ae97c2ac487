#include "cli/command.h"

int main(int argc, char** argv) {
  return sallyport::cli::main(argc, argv);
}
