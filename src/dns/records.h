// The records in memory, kept up with their file. Internal to this module.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "dns/server.h"

namespace sallyport::dns {

class Records {
 public:
  // Reads the file, and watches its directory.
  static Result<Records> open(const std::string& path);

  [[nodiscard]] const Zone& zone() const { return zone_; }
  // Readable when something in the directory has changed. Not all file systems tell (overlays,
  // mounts that are replaced), so that refresh() is also called about every second.
  [[nodiscard]] int watch_fd() const { return watch_.get(); }
  // Reads the file again where it is another one than last time. A wrong or missing file is
  // reported once, and the records stay.
  void refresh();

 private:
  struct Identity {
    dev_t device = 0;
    ino_t inode = 0;
    int64_t seconds = 0, nanos = 0;
    off_t size = 0;
    bool operator==(const Identity&) const = default;
  };
  [[nodiscard]] Identity identity() const;
  Status load();

  std::string path_;
  Fd watch_;
  Identity seen_;
  Zone zone_;
};

}  // namespace sallyport::dns
