#include "proxy/svid.h"

#include "codec/base64.h"
#include "codec/json.h"

namespace sallyport::proxy {
namespace {

Result<std::string> der(const codec::Value& value, const std::string& where) {
  if (!value.is_string())
    return fail(Code::kInvalid, where + ": expected base64, got " + std::string(value.type_name()));
  auto bytes = codec::decode_base64(value.as_string());
  if (!bytes || bytes->empty()) return fail(Code::kInvalid, where + ": not base64");
  return std::move(*bytes);
}

Result<WallTime> seconds(const codec::Value& value, const std::string& where) {
  if (value.type() != codec::Value::Type::kInt)
    return fail(Code::kInvalid, where + ": expected seconds since the epoch");
  return WallTime(std::chrono::seconds(value.as_int()));
}

}  // namespace

Result<std::shared_ptr<const SvidData>> parse_svid(std::string_view json) {
  SP_TRY(codec::Value root, codec::parse_json(json, 4 << 20));
  auto out = std::make_shared<SvidData>();
  SP_TRY(out->id, identity::parse_spiffe_id(root["id"].as_string()));
  if (root["chain"].items().empty()) return fail(Code::kInvalid, "chain: expected certificates");
  for (const codec::Value& item : root["chain"].items()) {
    SP_TRY(std::string certificate, der(item, "chain"));
    out->credentials.chain_der.push_back(std::move(certificate));
  }
  SP_TRY(out->credentials.key_der, der(root["key"], "key"));
  SP_TRY(out->not_before, seconds(root["notBefore"], "notBefore"));
  SP_TRY(out->not_after, seconds(root["notAfter"], "notAfter"));
  for (const auto& member : root["roots"].members()) {
    for (const codec::Value& item : member.value.items()) {
      SP_TRY(std::string certificate, der(item, "roots." + member.key));
      out->roots[member.key].push_back(std::move(certificate));
    }
  }
  if (!out->roots.contains(out->id.trust_domain))
    return fail(Code::kInvalid, "roots: none of the identity's own trust domain");
  out->roots_text = codec::write_json(root["roots"]);
  return out;
}

std::vector<std::string> accepted_alpn() {
  return {std::string(kAlpnHttp2), std::string(kAlpnHttp1), std::string(kAlpnTcp)};
}

}  // namespace sallyport::proxy
