// Namespace, ServiceAccount, Node, ConfigMap, Secret, and what is only passed through.
#include "codec/base64.h"
#include "codec/json.h"
#include "k8s/decode.h"
#include "k8s/formats.h"

namespace sallyport::k8s {
namespace {

constexpr size_t kMostDataBytes = 1 << 20;

size_t decode_data(const Field& field, bool base64, std::map<std::string, std::string>& out) {
  size_t bytes = 0;
  for (const Field& entry : field.entries()) {
    if (auto wrong = check_config_key(entry.key()))
      entry.error_at_key("key " + quoted(entry.key()) + ": " + *wrong);
    std::string text = entry.text();
    if (base64) text = codec::decode_base64(text).value_or("");
    bytes += text.size();
    out[entry.key()] = std::move(text);
  }
  return bytes;
}

void check_size(const Field& root, size_t bytes) {
  if (bytes > kMostDataBytes)
    root["data"].error("data of " + std::to_string(bytes) + " bytes, expected at most " +
                       std::to_string(kMostDataBytes));
}

// What the API server wants of Secrets with a well-known type.
void check_secret_type(const Field& root, const Secret& secret) {
  auto need = [&](std::string_view key) {
    if (!secret.data.contains(std::string(key)))
      root["data"].error("is missing the key " + quoted(key) + ", which type " + secret.type +
                         " requires");
  };
  if (secret.type == "kubernetes.io/tls") {
    need("tls.crt");
    need("tls.key");
  } else if (secret.type == "kubernetes.io/ssh-auth") {
    need("ssh-privatekey");
  } else if (secret.type == "kubernetes.io/dockerconfigjson") {
    need(".dockerconfigjson");
    auto text = secret.data.find(".dockerconfigjson");
    if (text != secret.data.end() && !codec::parse_json(text->second))
      root["data"].error("the key \".dockerconfigjson\" is not valid JSON");
  } else if (secret.type == "kubernetes.io/dockercfg") {
    need(".dockercfg");
  } else if (secret.type == "kubernetes.io/basic-auth") {
    if (!secret.data.contains("username") && !secret.data.contains("password"))
      root["data"].error("is missing the key \"username\" or \"password\", which type " +
                         secret.type + " requires");
  } else if (secret.type == "kubernetes.io/service-account-token") {
    if (!secret.meta.annotations.contains("kubernetes.io/service-account.name"))
      root["metadata"].error(
          "is missing the annotation kubernetes.io/service-account.name, which type " +
          secret.type + " requires");
  }
}

}  // namespace

void decode(const Field&, Namespace&) {}

void decode(const Field&, ServiceAccount&) {}

void decode(const Field&, OtherObject&) {}

void decode(const Field& root, ConfigMap& out) {
  size_t bytes = decode_data(root["data"], false, out.data);
  for (const Field& entry : root["binaryData"].entries())
    if (out.data.contains(entry.key()))
      entry.error_at_key("key " + quoted(entry.key()) + " is in data too");
  bytes += decode_data(root["binaryData"], true, out.data);
  check_size(root, bytes);
}

void decode(const Field& root, Secret& out) {
  out.type = root["type"].text();
  if (out.type.empty()) out.type = "Opaque";
  decode_data(root["data"], true, out.data);
  decode_data(root["stringData"], false, out.data);
  size_t bytes = 0;
  for (const auto& [key, value] : out.data) bytes += value.size();
  check_size(root, bytes);
  check_secret_type(root, out);
}

void decode(const Field& root, Node& out) {
  for (const Field& address : root["status"]["addresses"].items())
    if (auto ip = Ip::parse(address["address"].text())) out.addresses.push_back(*ip);
}

}  // namespace sallyport::k8s
