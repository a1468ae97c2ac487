#include <map>

#include "k8s/decode.h"
#include "k8s/formats.h"
#include "k8s/quantity.h"

namespace sallyport::k8s {
namespace {

constexpr std::string_view kPids = "sallyport.dev/pids";

std::optional<int64_t> milli(const Field& field) {
  if (!field.present()) return std::nullopt;
  if (field.value().is_string()) return parse_quantity_milli(field.text());
  double number = field.value().as_double() * 1000;
  return number < 9e18 ? static_cast<int64_t>(number) : INT64_MAX;
}

bool is_standard(std::string_view name) {
  return name == "cpu" || name == "memory" || name == "ephemeral-storage" ||
         name.starts_with("hugepages-");
}

void check_names(const Field& map) {
  for (const Field& entry : map.entries()) {
    const std::string& name = entry.key();
    bool prefixed = name.find('/') != std::string::npos;
    if (is_standard(name)) continue;
    if (!prefixed || check_label_key(name))
      entry.error_at_key(
          quoted(name) +
          " is not a resource, expected cpu, memory, ephemeral-storage, "
          "hugepages-SIZE or an extended resource such as DOMAIN/NAME" +
          (name == "pids" ? "; the limit of processes is " + std::string(kPids) : ""));
    else if (auto value = milli(entry); value && *value % 1000 != 0)
      entry.error("expected a whole number of an extended resource");
  }
}

}  // namespace

Resources decode_resources(const Field& field) {
  Resources out;
  Field limits = field["limits"];
  Field requests = field["requests"];
  check_names(limits);
  check_names(requests);
  std::map<std::string, Field> most_of;
  for (const Field& limit : limits.entries()) most_of.emplace(limit.key(), limit);
  for (const Field& request : requests.entries()) {
    auto wanted = milli(request);
    auto limit = most_of.find(request.key());
    auto most = limit == most_of.end() ? std::nullopt : milli(limit->second);
    if (!wanted) continue;
    bool extended = !is_standard(request.key());
    if (most && *wanted > *most)
      request.error(quoted(request.text()) + " is more than the limit " +
                    quoted(limit->second.text()));
    else if (extended && (!most || *wanted != *most))
      request.error("the limit of an extended resource must be equal to its request");
  }
  if (auto memory = milli(limits["memory"]))
    out.memory_limit = *memory == INT64_MAX ? INT64_MAX : (*memory + 999) / 1000;
  out.cpu_limit_milli = milli(limits["cpu"]);
  if (auto pids = milli(limits[kPids])) out.pids_limit = *pids / 1000;
  return out;
}

}  // namespace sallyport::k8s
