// `sallyport explain FROM TO[:PORT]`: may FROM open a connection to TO, and why.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/mesh_gate.h"
#include "base/result.h"
#include "policy/verdict.h"
#include "world/world.h"

namespace sallyport::analysis {

struct PointCase {
  policy::Query query;  // points into the world
  policy::Verdict verdict;
  std::optional<MeshVerdict> mesh;  // none: the mesh gate has no say
  [[nodiscard]] bool allow() const { return verdict.allow && (!mesh || mesh->allow()); }
};

// What is asked of the mesh gate. Without a request, a port that is declared to carry HTTP is asked
// with GET /, and the text says so.
struct PointMesh {
  MeshQuery query;
  mesh::UnlabelledPods unlabelled = mesh::UnlabelledPods::kOut;
};

struct PointAnswer {
  std::vector<PointCase> cases;  // one, or one for each ready pod of a Service
  bool allow = true;             // all of them
  std::string text;              // for people; several lines
};

// The forms of FROM and TO are those of parse_target(). Without PORT: a Service's first port, or
// the only port that the pod's containers declare. Without `family`: that of an address that is
// given, else IPv4 where both pods have it, else IPv6; where the other family would be answered
// differently, the text says so.
//
// Errors are for people: no such pod, a port is missing, the Service has no ready pods.
Result<PointAnswer> explain_point(const world::World& world, std::string_view from,
                                  std::string_view to, std::optional<Family> family = {},
                                  const PointMesh& mesh = {});

}  // namespace sallyport::analysis
