#include "analysis/batch_query.h"

#include <algorithm>

#include "analysis/names.h"

namespace sallyport::analysis {
namespace {

using codec::Value;

std::unexpected<Error> wrong(const std::string& field, const std::string& what) {
  return fail(Code::kInvalid, field + ": " + what);
}

std::unexpected<Error> wrong_type(const std::string& field, const Value& value,
                                  const std::string& expected) {
  return wrong(field, "is a " + std::string(value.type_name()) + ", expected " + expected);
}

struct Side {
  const world::Endpoint* pod = nullptr;
  std::optional<Ip> ip;
};

Result<Side> decode_side(const world::World& world, const Value& line, const std::string& field) {
  const Value* value = line.find(field);
  if (value == nullptr) return wrong(field, "is missing");
  if (!value->is_map()) return wrong_type(field, *value, R"({"pod":"ns/name"} or {"ip":"..."})");
  SP_CHECK_OK(known_fields(*value, field, {"pod", "ip"}));
  if (value->members().size() != 1) return wrong(field, "expected exactly one of pod and ip");
  const Value::Member& form = value->members()[0];
  std::string path = field + "." + form.key;
  if (!form.value.is_string()) return wrong_type(path, form.value, "a string");
  Side side;
  if (form.key == "ip") {
    auto parsed = Ip::parse(form.value.as_string());
    if (!parsed) return wrong(path, parsed.error().message);
    if (*parsed == Ip{}) return wrong(path, "is the unspecified address");
    side.ip = *parsed;
    return side;
  }
  const std::string& name = form.value.as_string();
  size_t slash = name.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == name.size())
    return wrong(path, "\"" + name + "\" is not of the form namespace/name");
  auto pod = find_pod(world, name.substr(0, slash), name.substr(slash + 1));
  if (!pod) return fail_in(path, pod.error());
  side.pod = *pod;
  return side;
}

Result<k8s::Protocol> decode_protocol(const Value& line) {
  const Value* value = line.find("protocol");
  if (value == nullptr) return k8s::Protocol::kTcp;
  if (!value->is_string()) return wrong_type("protocol", *value, "a string");
  auto protocol = protocol_of(value->as_string());
  if (!protocol)
    return wrong("protocol", "\"" + value->as_string() + "\" is none of TCP, UDP, SCTP and ICMP");
  return *protocol;
}

Result<uint16_t> decode_port(const Value& line, k8s::Protocol protocol) {
  const Value* value = line.find("port");
  bool icmp = protocol == k8s::Protocol::kIcmp;
  if (value == nullptr) {
    if (icmp) return uint16_t{0};
    return wrong("port", "is missing");
  }
  if (value->type() != Value::Type::kInt) return wrong_type("port", *value, "an integer");
  int64_t port = value->as_int();
  if (icmp && port != 0) return wrong("port", "ICMP has port 0");
  if (!icmp && (port < 1 || port > 65535))
    return wrong("port", std::to_string(port) + " is not in 1..65535");
  return static_cast<uint16_t>(port);
}

Result<Family> decode_family(const Value& line, const Side& from, const Side& to) {
  std::optional<Family> given;
  if (from.ip && to.ip && from.ip->family() != to.ip->family())
    return wrong("to.ip", "is of another family than from.ip");
  if (from.ip) given = from.ip->family();
  if (to.ip) given = to.ip->family();
  const Value* value = line.find("family");
  if (value == nullptr || value->is_null()) return given.value_or(Family::kV4);
  if (value->type() != Value::Type::kInt || (value->as_int() != 4 && value->as_int() != 6))
    return wrong("family", "expected 4 or 6");
  auto family = value->as_int() == 4 ? Family::kV4 : Family::kV6;
  if (given && *given != family) return wrong("family", "is not that of the address that is given");
  return family;
}

}  // namespace

Result<BatchQuery> decode_batch_query(const world::World& world, const Value& line) {
  if (!line.is_map()) return fail(Code::kInvalid, "the line is no JSON object");
  SP_CHECK_OK(known_fields(
      line, "",
      {"id", "from", "to", "port", "protocol", "family", "mtls", "principal", "sni", "http"}));
  BatchQuery query;
  SP_TRY(Side from, decode_side(world, line, "from"));
  SP_TRY(Side to, decode_side(world, line, "to"));
  SP_TRY(query.network.protocol, decode_protocol(line));
  SP_TRY(query.network.port, decode_port(line, query.network.protocol));
  SP_TRY(query.network.family, decode_family(line, from, to));
  query.network.from_pod = from.pod;
  query.network.to_pod = to.pod;
  query.network.from = from.ip.value_or(Ip{});
  query.network.to = to.ip.value_or(Ip{});
  SP_TRY(query.mesh, decode_mesh_query(line));
  return query;
}

}  // namespace sallyport::analysis
