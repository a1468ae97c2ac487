#include "gate/pins.h"

#include <bpf/bpf.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fs.h"
#include "gate/gate.h"
#include "gate/links.h"

namespace sallyport::gate {

namespace {

constexpr std::string_view kPrefix = "layout-";

}  // namespace

Pins::Pins(std::string dir)
    : dir_(std::move(dir)),
      layout_dir_(dir_ + "/" + std::string(kPrefix) + std::to_string(kLayoutVersion)) {}

Result<Pins> Pins::open(const std::string& dir) {
  struct statfs fs{};
  if (::statfs(dir.c_str(), &fs) != 0) return fail_errno("opening the pin directory " + dir);
  if (fs.f_type != BPF_FS_MAGIC)
    return fail(Code::kInvalid, dir + " is not on a bpffs: the gate cannot pin its tables there");
  Pins pins(dir);
  SP_TRY(const auto names, list_dir(dir));
  for (const auto& name : names) {
    if (!name.starts_with(kPrefix) || pins.layout_dir_.ends_with("/" + name)) continue;
    return fail(Code::kConflict,
                dir + " holds a gate of layout " + name.substr(kPrefix.size()) +
                    ", this binary has layout " + std::to_string(kLayoutVersion) +
                    ": end the run with the version that started it (`sallyport down`), then "
                    "start it again");
  }
  return pins;
}

bool Pins::complete() const {
  return exists(layout_dir_ + "/meta");
}

Status Pins::begin() {
  SP_CHECK_OK(remove());
  if (::mkdir(layout_dir_.c_str(), 0700) != 0) return fail_errno("making " + layout_dir_);
  return {};
}

Status Pins::pin(int fd, const std::string& name) {
  const std::string path = layout_dir_ + "/" + name;
  const std::string fresh = path + "_new";
  ::unlink(fresh.c_str());
  if (::bpf_obj_pin(fd, fresh.c_str()) != 0) return fail_errno("pinning " + path);
  if (::rename(fresh.c_str(), path.c_str()) != 0) return fail_errno("renaming " + fresh);
  return {};
}

Result<Fd> Pins::get(const std::string& name) const {
  const std::string path = layout_dir_ + "/" + name;
  Fd fd(::bpf_obj_get(path.c_str()));
  if (!fd) return fail_errno("opening " + path);
  return fd;
}

Result<MapSet> Pins::get_maps() const {
  MapSet maps;
  for (const char* name : map_names()) {
    SP_TRY(maps[name], get(name));
  }
  return maps;
}

Status Pins::pin_maps(const MapSet& maps) {
  for (const char* name : map_names()) {
    if (std::string_view(name) == "meta") continue;
    SP_CHECK_OK(pin(maps.at(name).get(), name));
  }
  return {};
}

Status Pins::remove() {
  if (!exists(layout_dir_)) return {};
  // First the mark: what is left after a crash in here counts as half made.
  ::unlink((layout_dir_ + "/meta").c_str());
  SP_CHECK_OK(detach_links(layout_dir_));
  SP_TRY(const auto names, list_dir(layout_dir_));
  for (const auto& name : names) {
    const std::string path = layout_dir_ + "/" + name;
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno("unpinning " + path);
  }
  if (::rmdir(layout_dir_.c_str()) != 0 && errno != ENOENT)
    return fail_errno("removing " + layout_dir_);
  return {};
}

}  // namespace sallyport::gate
