// The BPF object: loaded from the binary itself, its maps sized or taken over.
#pragma once

#include <map>
#include <span>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace sallyport::gate {

// The maps by name, as in bpf/maps.h.
using MapSet = std::map<std::string, Fd>;

// The names of all maps that are pinned.
[[nodiscard]] std::span<const char* const> map_names();

struct LoadedObject {
  MapSet maps;
  Fd program;  // the netfilter program
  Fd forget;   // ends the connections of an endpoint
  Fd start;    // starts the sweep
};

struct LoadOptions {
  uint32_t max_connections = 0;
  uint32_t max_endpoints = 0;
  const MapSet* reuse = nullptr;  // take these maps instead of making new ones
};

[[nodiscard]] std::span<const unsigned char> gate_object();       // the program
[[nodiscard]] std::span<const unsigned char> gate_test_object();  // its test-run variant
[[nodiscard]] uint64_t object_hash(std::span<const unsigned char> object);

// Fails with kOs or kInternal; the message has the last lines of the loader's or verifier's words.
Result<LoadedObject> load_object(std::span<const unsigned char> object, const LoadOptions& options);

// Runs a program of type syscall with a 32-bit argument; what it returns must be 0.
Status run_program(int program_fd, uint32_t argument, const char* what);

// Starts the sweep that ends idle connections, or gives a running one this program.
Status start_sweep(int start_fd);

// A copy of a descriptor, closed on exec.
Result<Fd> duplicate(int fd);

}  // namespace sallyport::gate
