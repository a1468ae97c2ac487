// Where things lie in a shim's own mount namespace. Its root is a small tmpfs that nothing else
// sees.
#pragma once

#include <string>

namespace sallyport::runtime::layout {

inline constexpr const char* kHost = "/host";        // the host's root filesystem, read-only
inline constexpr const char* kState = "/state";      // state_dir/pods/UID of the host
inline constexpr const char* kExposed = "/exposed";  // /exposed/N: host paths to show in containers
inline constexpr const char* kVolumes = "/volumes";  // /volumes/NAME
inline constexpr const char* kDevices = "/devices";  // device nodes: the only ones that work
inline constexpr const char* kShm = "/shm";          // /dev/shm of all containers of the pod
inline constexpr const char* kEmpty = "/empty";      // covers what containers may not see
inline constexpr const char* kUpper = "/upper";      // writable layer of the container being made
inline constexpr const char* kNewRoot = "/newroot";  // root of the container being made

inline std::string exposed(size_t index) {
  return std::string(kExposed) + "/" + std::to_string(index);
}

}  // namespace sallyport::runtime::layout
