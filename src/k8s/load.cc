#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/fs.h"
#include "base/strings.h"
#include "k8s/manifest.h"

namespace sallyport::k8s {
namespace {

constexpr size_t kMostFiles = 10'000;
constexpr size_t kMostFileBytes = 16 << 20;
constexpr size_t kMostBytes = 256 << 20;  // of all files
constexpr int kMostDepth = 32;

void add_error(Manifest& out, const std::string& file, std::string message) {
  // The errors of files begin with the path already.
  if (message.starts_with(file + ": ")) message.erase(0, file.size() + 2);
  out.diagnostics.push_back({Diagnostic::Severity::kError, {file, {}}, "", "", std::move(message)});
}

bool is_manifest_name(std::string_view name) {
  return name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json");
}

// Files below `dir`, in the order of their paths. Links to directories are not followed, so that a
// loop cannot happen.
void collect(const std::string& dir, int depth, std::vector<std::string>& files, Manifest& out) {
  if (depth > kMostDepth) return add_error(out, dir, "directories nested too deep");
  auto names = list_dir(dir);
  if (!names) return add_error(out, dir, names.error().message);
  for (const std::string& name : *names) {
    if (name.starts_with('.')) continue;
    std::string path = dir;
    path.append("/").append(name);
    struct stat link{};
    struct stat target{};
    if (::lstat(path.c_str(), &link) != 0) continue;  // removed meanwhile
    if (S_ISDIR(link.st_mode)) {
      collect(path, depth + 1, files, out);
    } else if (is_manifest_name(name)) {
      if (::stat(path.c_str(), &target) == 0 && !S_ISREG(target.st_mode)) continue;
      files.push_back(path);
    }
  }
}

std::string position(const Origin& origin) {
  return origin.file + ":" + std::to_string(origin.mark.line) + ":" +
         std::to_string(origin.mark.column);
}

// The API group without the version: one object can be written in several versions.
std::string group_of(const std::string& api_version) {
  size_t slash = api_version.find('/');
  return slash == std::string::npos ? "" : api_version.substr(0, slash);
}

void remove_duplicates(Manifest& out) {
  std::map<std::string, const Origin*> seen;
  std::vector<bool> keep(out.objects.size(), true);
  for (size_t i = 0; i < out.objects.size(); ++i) {
    const Object& object = base_of(out.objects[i]);
    std::string name = name_of(object);
    auto [first, fresh] = seen.emplace(group_of(object.api_version) + " " + name, &object.origin);
    if (fresh) continue;
    keep[i] = false;
    out.diagnostics.push_back(
        {Diagnostic::Severity::kError, object.origin, name, "",
         "is defined a second time; the first is at " + position(*first->second)});
  }
  size_t i = 0;
  std::erase_if(out.objects, [&](const AnyObject&) { return !keep[i++]; });
}

}  // namespace

Manifest load_manifest(const std::string& path, ManifestCache* cache) {
  Manifest out;
  std::map<std::string, ManifestCache::File> seen;
  struct stat st{};
  if (::stat(path.c_str(), &st) != 0) {
    add_error(out, path, fail_errno("cannot be read").error().message);
    return out;
  }
  std::vector<std::string> files;
  if (S_ISDIR(st.st_mode)) {
    std::string dir = path;
    while (dir.size() > 1 && dir.ends_with('/')) dir.pop_back();
    collect(dir, 0, files, out);
    std::sort(files.begin(), files.end());
    if (files.size() > kMostFiles) {
      add_error(out, path, "more than " + std::to_string(kMostFiles) + " manifest files");
      return out;
    }
    if (files.empty() && out.ok())
      add_error(out, path, "no manifest here, expected *.yaml, *.yml or *.json files");
  } else {
    files.push_back(path);
  }
  size_t bytes = 0;
  for (const std::string& file : files) {
    auto text = read_file(file, kMostFileBytes);
    if (!text) {
      add_error(out, file, text.error().message);
      continue;
    }
    bytes += text->size();
    if (bytes > kMostBytes) {
      add_error(out, path, "more than " + std::to_string(kMostBytes) + " bytes of manifests");
      break;
    }
    if (!cache) {
      Manifest one = parse_manifest(*text, file);
      std::move(one.objects.begin(), one.objects.end(), std::back_inserter(out.objects));
      std::move(one.diagnostics.begin(), one.diagnostics.end(),
                std::back_inserter(out.diagnostics));
      continue;
    }
    auto known = cache->files.find(file);
    bool same = known != cache->files.end() && known->second.text == *text;
    Manifest one = same ? std::move(known->second.parsed) : parse_manifest(*text, file);
    out.objects.insert(out.objects.end(), one.objects.begin(), one.objects.end());
    out.diagnostics.insert(out.diagnostics.end(), one.diagnostics.begin(), one.diagnostics.end());
    seen[file] = {std::move(*text), std::move(one)};
  }
  // Files that are gone are forgotten.
  if (cache) cache->files = std::move(seen);
  remove_duplicates(out);
  return out;
}

}  // namespace sallyport::k8s
