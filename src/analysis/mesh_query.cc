#include "analysis/mesh_query.h"

#include <algorithm>

namespace sallyport::analysis {
namespace {

using codec::Value;

constexpr size_t kMostHeaders = 1000;

std::unexpected<Error> wrong(const std::string& field, const std::string& what) {
  return fail(Code::kInvalid, field + ": " + what);
}

std::unexpected<Error> wrong_type(const std::string& field, const Value& value,
                                  const std::string& expected) {
  return wrong(field, "is a " + std::string(value.type_name()) + ", expected " + expected);
}

Result<std::optional<std::string>> optional_string(const Value& map, const std::string& parent,
                                                   std::string_view key) {
  const Value* value = map.find(key);
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (!value->is_string()) return wrong_type(parent + std::string(key), *value, "a string");
  return value->as_string();
}

Result<HttpQuery> decode_http(const Value& value) {
  if (!value.is_map()) return wrong_type("http", value, "an object");
  SP_CHECK_OK(known_fields(value, "http", {"method", "path", "host", "headers", "jwt"}));
  HttpQuery http;
  SP_TRY(auto method, optional_string(value, "http.", "method"));
  SP_TRY(auto path, optional_string(value, "http.", "path"));
  SP_TRY(auto host, optional_string(value, "http.", "host"));
  if (method) http.method = *method;
  if (path) http.path = *path;
  if (host) http.host = *host;
  const Value& headers = value["headers"];
  if (!headers.is_null() && !headers.is_list())
    return wrong_type("http.headers", headers, "a list");
  if (headers.items().size() > kMostHeaders)
    return wrong("http.headers", "more than " + std::to_string(kMostHeaders) + " headers");
  for (const Value& pair : headers.items()) {
    if (!pair.is_list() || pair.items().size() != 2 || !pair.items()[0].is_string() ||
        !pair.items()[1].is_string())
      return wrong("http.headers", "expected pairs of strings, [name, value]");
    http.headers.emplace_back(pair.items()[0].as_string(), pair.items()[1].as_string());
  }
  const Value& jwt = value["jwt"];
  if (!jwt.is_null() && !jwt.is_map()) return wrong_type("http.jwt", jwt, "an object or null");
  if (jwt.is_map()) http.jwt = jwt;
  return http;
}

}  // namespace

Status known_fields(const Value& map, const std::string& field,
                    std::initializer_list<std::string_view> known) {
  for (const Value::Member& member : map.members())
    if (std::find(known.begin(), known.end(), member.key) == known.end())
      return fail(Code::kInvalid,
                  (field.empty() ? "" : field + ".") + member.key + ": is not a known field");
  return {};
}

Result<MeshQuery> decode_mesh_query(const Value& map) {
  MeshQuery query;
  if (map.is_null()) return query;
  if (const Value* mtls = map.find("mtls"); mtls != nullptr && !mtls->is_null()) {
    if (mtls->type() != Value::Type::kBool) return wrong_type("mtls", *mtls, "true or false");
    query.mtls = mtls->as_bool();
  }
  SP_TRY(query.principal, optional_string(map, "", "principal"));
  SP_TRY(query.sni, optional_string(map, "", "sni"));
  if (const Value* http = map.find("http"); http != nullptr && !http->is_null()) {
    SP_TRY(query.http, decode_http(*http));
  }
  return query;
}

}  // namespace sallyport::analysis
