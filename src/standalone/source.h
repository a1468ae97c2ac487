// Where objects come from. Files today, the API server later: whoever implements this interface
// gives complete sets of objects and says when there may be a new one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "k8s/manifest.h"

namespace sallyport::standalone {

class Source {
 public:
  virtual ~Source() = default;
  // Everything, afresh.
  virtual k8s::Manifest load() = 0;
  // Readable when something may have changed; acknowledge() then, and load again.
  [[nodiscard]] virtual int change_fd() const = 0;
  virtual void acknowledge() = 0;
};

// Every manifest below DIR, watched by inotify.
Result<std::unique_ptr<Source>> watch_directory(const std::string& dir);

}  // namespace sallyport::standalone
