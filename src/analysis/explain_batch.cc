#include "analysis/explain_batch.h"

#include "analysis/batch_query.h"
#include "base/strings.h"
#include "codec/json.h"
#include "policy/evaluator.h"

namespace sallyport::analysis {
namespace {

using codec::Value;

constexpr size_t kMostLineBytes = 1 << 20;

std::string_view word(bool allow) {
  return allow ? "allow" : "deny";
}

Value string_or_null(const std::string& text) {
  return text.empty() ? Value() : Value::string(text);
}

std::string error_line(const Value& id, const std::string& message) {
  Value out = Value::map();
  out.set("id", id);
  out.set("error", message);
  return codec::write_json(out);
}

}  // namespace

Value direction_value(const policy::DirectionVerdict& verdict) {
  Value out = Value::map();
  out.set("verdict", word(verdict.allow));
  out.set("policy", string_or_null(verdict.policy));
  out.set("rule", verdict.rule ? Value::integer(*verdict.rule) : Value());
  out.set("reason", policy::to_string(verdict.reason));
  Value& isolated = out.set("isolatedBy", Value::list());
  for (const std::string& name : verdict.isolated_by) isolated.push(Value::string(name));
  Value nearest;
  if (verdict.nearest) {
    nearest = Value::map();
    nearest.set("policy", verdict.nearest->policy);
    nearest.set("rule", Value::integer(verdict.nearest->rule));
    nearest.set("why", verdict.nearest->why);
  }
  out.set("nearest", std::move(nearest));
  return out;
}

Value answer_value(const policy::Verdict& network, const std::optional<MeshVerdict>& mesh) {
  Value out = Value::map();
  const bool mesh_refuses = mesh && !mesh->allow();
  const bool rejected = mesh && mesh->outcome == MeshVerdict::Outcome::kReject;
  if (network.allow && rejected)
    out.set("verdict", "reject");
  else
    out.set("verdict", word(network.allow && !mesh_refuses));
  if (!network.allow)
    out.set("gate", "network");
  else
    out.set("gate", mesh_refuses ? Value::string("mesh") : Value());
  Value& directions = out.set("network", Value::map());
  directions.set("egress", direction_value(network.egress));
  directions.set("ingress", direction_value(network.ingress));
  out.set("mesh", mesh ? mesh_value(*mesh) : Value());
  return out;
}

std::string explain_batch_line(const world::World& world, std::string_view line, bool& ok,
                               mesh::UnlabelledPods unlabelled) {
  ok = false;
  auto parsed = codec::parse_json(line, kMostLineBytes);
  if (!parsed) return error_line(Value(), parsed.error().message);
  const Value& id = (*parsed)["id"];
  if (!id.is_string() && id.type() != Value::Type::kInt)
    return error_line(Value(), id.is_null() ? "id: is missing" : "id: expected a string");
  auto query = decode_batch_query(world, *parsed);
  if (!query) return error_line(id, query.error().message);
  ok = true;
  Value out = Value::map();
  out.set("id", id);
  Value answer = answer_value(policy::evaluate(world, query->network),
                              judge_mesh(world, query->network, query->mesh, unlabelled));
  for (Value::Member& member : answer.members()) out.set(member.key, std::move(member.value));
  return codec::write_json(out);
}

BatchSummary explain_batch(const world::World& world, std::string_view input,
                           const std::function<void(std::string_view)>& sink,
                           mesh::UnlabelledPods unlabelled) {
  BatchSummary summary;
  for (size_t at = 0; at < input.size();) {
    size_t end = std::min(input.find('\n', at), input.size());
    std::string_view line = trim(input.substr(at, end - at));
    at = end + 1;
    if (line.empty()) continue;
    bool ok = false;
    sink(explain_batch_line(world, line, ok, unlabelled));
    ++(ok ? summary.answered : summary.failed);
  }
  return summary;
}

}  // namespace sallyport::analysis
