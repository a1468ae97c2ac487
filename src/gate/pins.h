// Where the gate lives while no process holds it: a directory of a bpffs, named by the layout of
// what is in it ("layout-1"), so that a binary with another layout sees the difference before it
// touches anything. The pin of map `meta` is made last and marks the directory complete.
#pragma once

#include <string>

#include "base/result.h"
#include "gate/object.h"

namespace sallyport::gate {

class Pins {
 public:
  // `dir`: the run's own directory on a bpffs. kConflict where another layout is pinned there;
  // kInvalid where `dir` is not on a bpffs.
  static Result<Pins> open(const std::string& dir);

  [[nodiscard]] bool complete() const;
  [[nodiscard]] const std::string& dir() const { return layout_dir_; }

  Status begin();                               // an empty directory; what was half made goes
  Status pin(int fd, const std::string& name);  // replaces an older pin in one step
  Result<Fd> get(const std::string& name) const;
  Result<MapSet> get_maps() const;
  Status pin_maps(const MapSet& maps);  // all but `meta`
  Status remove();                      // everything; missing is fine

 private:
  explicit Pins(std::string dir);
  std::string dir_;
  std::string layout_dir_;
};

}  // namespace sallyport::gate
