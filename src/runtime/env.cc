#include "runtime/env.h"

#include <algorithm>

#include "base/strings.h"

namespace sallyport::runtime {
namespace {

using Data = std::map<std::string, std::string>;
using Sources = std::map<std::string, Data>;

constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

void set(Env& env, const std::string& name, std::string value) {
  auto found = std::find_if(env.begin(), env.end(), [&](const auto& e) { return e.first == name; });
  if (found == env.end())
    env.emplace_back(name, std::move(value));
  else
    found->second = std::move(value);
}

std::string joined(const std::vector<Ip>& ips) {
  std::vector<std::string> texts;
  for (const Ip& ip : ips) texts.push_back(ip.to_string());
  return join(texts, ",");
}

// The key of "metadata.labels['key']".
std::optional<std::string> bracketed(const std::string& path, std::string_view prefix) {
  if (!path.starts_with(prefix)) return std::nullopt;
  std::string_view rest = std::string_view(path).substr(prefix.size());
  if (rest.size() < 5 || !rest.starts_with("['") || !rest.ends_with("']")) return std::nullopt;
  return std::string(rest.substr(2, rest.size() - 4));
}

const Data* find_source(const Sources& sources, const std::string& name) {
  auto found = sources.find(name);
  return found == sources.end() ? nullptr : &found->second;
}

bool usable_name(const std::string& name) {
  return !name.empty() && name.find('=') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

}  // namespace

std::string expand_references(std::string_view text,
                              const std::function<const std::string*(const std::string&)>& lookup) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    char next = text[i] == '$' && i + 1 < text.size() ? text[i + 1] : '\0';
    if (next == '$') {
      out += '$';
      ++i;
      continue;
    }
    size_t close = next == '(' ? text.find(')', i + 2) : std::string_view::npos;
    if (close == std::string_view::npos) {
      out += text[i];
      continue;
    }
    std::string name(text.substr(i + 2, close - i - 2));
    const std::string* value = lookup(name);
    if (value)
      out += *value;
    else
      out.append("$(").append(name).append(")");
    i = close;
  }
  return out;
}

const std::string* find_env(const Env& env, const std::string& name) {
  auto found = std::find_if(env.begin(), env.end(), [&](const auto& e) { return e.first == name; });
  return found == env.end() ? nullptr : &found->second;
}

Result<std::string> field_value(const PodRequest& request, const std::string& path) {
  const k8s::Pod& pod = *request.pod;
  auto of = [](const Data& map, const std::string& key) {
    auto found = map.find(key);
    return found == map.end() ? std::string() : found->second;
  };
  if (path == "metadata.name") return pod.meta.name;
  if (path == "metadata.namespace") return pod.meta.ns;
  if (path == "metadata.uid") return pod.meta.uid;
  if (auto key = bracketed(path, "metadata.labels")) return of(pod.meta.labels, *key);
  if (auto key = bracketed(path, "metadata.annotations")) return of(pod.meta.annotations, *key);
  if (path == "spec.nodeName") return request.node_name;
  if (path == "spec.serviceAccountName") return pod.spec.service_account;
  if (path == "status.podIP")
    return request.pod_ips.empty() ? std::string() : request.pod_ips.front().to_string();
  if (path == "status.podIPs") return joined(request.pod_ips);
  if (path == "status.hostIP" || path == "status.hostIPs") return request.node_ip.to_string();
  return fail(Code::kInvalid, "fieldRef " + path + ": not a field that a container can ask for");
}

Result<Env> container_env(const PodRequest& request, const k8s::Container& container) {
  Env env;
  set(env, "PATH", kDefaultPath);
  set(env, "HOSTNAME", request.hostname);
  for (const k8s::EnvFrom& from : container.env_from) {
    const Data* data = find_source(from.secret ? request.secrets : request.config_maps, from.name);
    if (!data) {
      if (from.optional) continue;
      return fail(Code::kInvalid, std::string("envFrom: ") +
                                      (from.secret ? "Secret " : "ConfigMap ") + from.name +
                                      " does not exist");
    }
    for (const auto& [key, value] : *data)
      if (usable_name(from.prefix + key)) set(env, from.prefix + key, value);
  }
  auto lookup = [&](const std::string& name) { return find_env(env, name); };
  for (const k8s::EnvVar& var : container.env) {
    std::string value;
    if (var.from == k8s::EnvVar::From::kValue) {
      value = expand_references(var.value, lookup);
    } else if (var.from == k8s::EnvVar::From::kField) {
      auto field = field_value(request, var.ref_key);
      if (!field) return fail_in("env " + var.name, field.error());
      value = std::move(*field);
    } else {
      bool secret = var.from == k8s::EnvVar::From::kSecret;
      const Data* data = find_source(secret ? request.secrets : request.config_maps, var.ref_name);
      if (!data || !data->contains(var.ref_key)) {
        if (var.optional) continue;
        return fail(Code::kInvalid, "env " + var.name + ": " + (secret ? "Secret " : "ConfigMap ") +
                                        var.ref_name +
                                        (data ? " has no key " + var.ref_key : " does not exist"));
      }
      value = data->at(var.ref_key);
    }
    set(env, var.name, std::move(value));
  }
  for (const auto& [name, value] : env)
    if (value.find('\0') != std::string::npos)
      return fail(Code::kInvalid, "env " + name + ": the value has a NUL byte");
  return env;
}

}  // namespace sallyport::runtime
