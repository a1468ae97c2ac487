// Reads the conformance cases of testdata/ (see its README) into worlds and expectations, with
// addresses mapped where wanted. For the tests of this module and of the kernel; link zlib.
#pragma once

#include <zlib.h>

#include <map>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/strings.h"
#include "codec/json.h"
#include "k8s/manifest.h"
#include "world/world.h"

namespace sallyport::policy::testing {

struct Expectation {
  std::string from, to;  // "ns/name"
  k8s::Protocol protocol = k8s::Protocol::kTcp;
  uint16_t port = 0;
  std::string ingress, egress, combined;  // allowed, blocked, undefined (itself), invalid
};

struct ConformanceStep {
  int index = 0;  // of the case
  std::string group, description;
  std::vector<std::string> tags;
  world::World world;
  std::vector<Expectation> expected;
};

// How 10.244.a.b of the cases and the blocks around it appear in the world.
enum class Mapping {
  kAsWritten,
  kOurV4,  // 198.18.a.b
  kOurV6,  // fd00:: with the four bytes at its end; 0.0.0.0/0 becomes ::/0
};

inline Ip map_ip(const Ip& ip, Mapping mapping) {
  if (mapping == Mapping::kAsWritten || ip.family() == Family::kV6) return ip;
  uint32_t host = ip.v4_host_order();
  if (mapping == Mapping::kOurV4)
    return host >> 16 == 0x0af4 ? Ip::v4(0xc6120000 | (host & 0xffff)) : ip;
  Ip out;
  out.bytes[0] = 0xfd;
  for (int i = 12; i < 16; ++i) out.bytes[i] = ip.bytes[i];
  return out;
}

inline Cidr map_cidr(const Cidr& cidr, Mapping mapping) {
  if (mapping != Mapping::kOurV6) return {map_ip(cidr.base, mapping), cidr.bits};
  if (cidr.bits == 0) return {Ip{}, 0};
  return {map_ip(cidr.base, mapping), cidr.bits + 96};
}

inline Result<std::string> read_gzip(const std::string& path) {
  constexpr size_t kMost = 32 << 20;
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) return fail(Code::kNotFound, path + ": cannot be opened");
  std::string out, chunk(1 << 16, '\0');
  int got = 0;
  while (out.size() < kMost &&
         (got = gzread(file, chunk.data(), static_cast<unsigned>(chunk.size()))) > 0)
    out.append(chunk, 0, static_cast<size_t>(got));
  gzclose(file);
  if (got != 0) return fail(Code::kInvalid, path + ": not a gzip file, or too large");
  return out;
}

inline Result<k8s::Protocol> protocol_from(const std::string& text) {
  for (auto protocol : {k8s::Protocol::kTcp, k8s::Protocol::kUdp, k8s::Protocol::kSctp})
    if (k8s::to_string(protocol) == text) return protocol;
  return fail(Code::kInvalid, "protocol " + text);
}

inline k8s::Labels labels_from(const codec::Value& map) {
  k8s::Labels out;
  for (const auto& member : map.members()) out[member.key] = member.value.as_string();
  return out;
}

inline Result<std::shared_ptr<const k8s::NetworkPolicy>> policy_from(const codec::Value& value,
                                                                     Mapping mapping) {
  codec::Value complete = value;  // some were written without their type
  complete.set("apiVersion", "networking.k8s.io/v1");
  complete.set("kind", "NetworkPolicy");
  k8s::Manifest manifest = k8s::parse_manifest(codec::write_json(complete), "case");
  if (!manifest.ok() || manifest.objects.size() != 1)
    return fail(Code::kInvalid, manifest.diagnostics.empty() ? "not one object"
                                                             : manifest.diagnostics[0].to_string());
  const auto* decoded = std::get_if<k8s::NetworkPolicy>(&manifest.objects[0]);
  if (decoded == nullptr) return fail(Code::kInvalid, "not a NetworkPolicy");
  auto policy = std::make_shared<k8s::NetworkPolicy>(*decoded);
  for (auto* rules : {&policy->ingress, &policy->egress}) {
    for (k8s::NetworkPolicyRule& rule : *rules) {
      for (k8s::NetworkPolicyPeer& peer : rule.peers) {
        if (!peer.ip_block) continue;
        peer.ip_block->cidr = map_cidr(peer.ip_block->cidr, mapping);
        for (Cidr& except : peer.ip_block->except) except = map_cidr(except, mapping);
      }
    }
  }
  return policy;
}

// A step of a case, or a recipe. Pods without an address get 10.244.200.N.
inline Result<ConformanceStep> step_from(const codec::Value& value, Mapping mapping) {
  ConformanceStep out;
  for (const auto& ns : value["namespaces"].members())
    out.world.namespaces[ns.key] = labels_from(ns.value);
  uint32_t number = 0;
  for (const codec::Value& pod : value["pods"].items()) {
    world::Endpoint endpoint;
    endpoint.id = ++number;
    endpoint.ns = pod["Namespace"].as_string();
    endpoint.name = pod["Name"].as_string();
    endpoint.labels = labels_from(pod["Labels"]);
    Ip address = Ip::v4(0x0af4c800 + number);
    if (!pod["IP"].as_string().empty()) {
      SP_TRY(address, Ip::parse(pod["IP"].as_string()));
    }
    endpoint.ips = {map_ip(address, mapping)};
    for (const codec::Value& port : pod["Ports"].items()) {
      SP_TRY(k8s::Protocol protocol, protocol_from(port["Protocol"].as_string()));
      endpoint.ports.push_back(
          {port["Name"].as_string(), static_cast<int>(port["Port"].as_int()), protocol});
    }
    out.world.endpoints.push_back(std::move(endpoint));
  }
  for (const codec::Value& policy : value["policies"].items()) {
    SP_TRY(auto decoded, policy_from(policy, mapping));
    out.world.network_policies.push_back(std::move(decoded));
  }
  out.world.finish();
  for (const codec::Value& row : value["expected"].items()) {
    const std::vector<codec::Value>& cell = row.items();
    if (cell.size() != 7) return fail(Code::kInvalid, "a row has 7 cells");
    SP_TRY(k8s::Protocol protocol, protocol_from(cell[2].as_string()));
    out.expected.push_back({cell[0].as_string(), cell[1].as_string(), protocol,
                            static_cast<uint16_t>(cell[3].as_int()), cell[4].as_string(),
                            cell[5].as_string(), cell[6].as_string()});
  }
  return out;
}

inline Result<codec::Value> read_cases(const std::string& path) {
  SP_TRY(std::string text, read_gzip(path));
  return codec::parse_json(text);
}

// `dir` is this module's testdata.
inline Result<std::vector<ConformanceStep>> conformance_cases(const std::string& dir,
                                                              Mapping mapping) {
  SP_TRY(codec::Value root, read_cases(dir + "/cases-v4.json.gz"));
  std::vector<ConformanceStep> out;
  for (const codec::Value& one : root["cases"].items()) {
    for (const codec::Value& step : one["steps"].items()) {
      SP_TRY(ConformanceStep built, step_from(step, mapping));
      built.index = static_cast<int>(one["index"].as_int());
      built.group = one["group"].as_string();
      built.description = one["description"].as_string();
      for (const codec::Value& tag : one["tags"].items()) built.tags.push_back(tag.as_string());
      out.push_back(std::move(built));
    }
  }
  return out;
}

inline Result<std::vector<ConformanceStep>> conformance_recipes(const std::string& dir,
                                                                Mapping mapping) {
  SP_TRY(codec::Value root, read_cases(dir + "/recipes.json.gz"));
  std::vector<ConformanceStep> out;
  for (const codec::Value& recipe : root.items()) {
    SP_TRY(ConformanceStep built, step_from(recipe, mapping));
    built.index = static_cast<int>(recipe["index"].as_int());
    built.group = "recipe";
    out.push_back(std::move(built));
  }
  return out;
}

}  // namespace sallyport::policy::testing
