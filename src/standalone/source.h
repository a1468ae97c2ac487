// Where objects come from. Files today, the API server later: whoever implements this interface
// gives complete sets of objects and says when there may be a new one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "k8s/manifest.h"

namespace sallyport::standalone {

class Source {
 public:
  virtual ~Source() = default;
  // Everything, afresh.
  virtual k8s::Manifest load() = 0;
  // Readable when something has happened; take_changes() then.
  [[nodiscard]] virtual int change_fd() const = 0;
  // Takes note of what has happened; true where load() may give something else than before. To be
  // called several times a second anyway: not everything is told.
  virtual bool take_changes() = 0;
  // Somebody is writing: what load() would read now may be a part of what is meant. Never for long
  // at a time: a file that has been left alone for three seconds counts as whole.
  virtual bool unsettled() = 0;
};

// Every manifest below DIR, watched by inotify.
Result<std::unique_ptr<Source>> watch_directory(const std::string& dir, const Clock& clock);

}  // namespace sallyport::standalone
