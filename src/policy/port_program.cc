#include "policy/port_program.h"

#include <algorithm>
#include <set>

namespace sallyport::policy {
namespace {

struct Edge {
  uint32_t port;  // up to 65536, the end of a range that reaches the last port
  bool opens;
  uint32_t step;
};

// The step that decides where the steps of `active` have the port.
PortPiece decide(const std::vector<Step>& steps, size_t admin,
                 const std::multiset<uint32_t>& active, uint16_t port) {
  auto at = active.begin();
  if (steps[*at].effect == Effect::kPass) at = active.lower_bound(static_cast<uint32_t>(admin));
  const Step& step = steps[*at];
  return {port, step.effect == Effect::kAllow ? Action::kAllow : Action::kDeny, step.rule};
}

std::vector<PortPiece> sweep(const std::vector<Step>& steps, size_t admin,
                             std::multiset<uint32_t> active, k8s::Protocol protocol) {
  std::vector<Edge> edges;
  for (uint32_t i = 0; i < steps.size(); ++i) {
    for (const PortRange& range : steps[i].ports) {
      if (range.protocol != protocol || range.first > range.last) continue;
      edges.push_back({range.first, true, i});
      edges.push_back({range.last + 1U, false, i});
    }
  }
  std::sort(edges.begin(), edges.end(),
            [](const Edge& a, const Edge& b) { return a.port < b.port; });
  std::vector<PortPiece> pieces{decide(steps, admin, active, 0)};
  for (size_t i = 0; i < edges.size();) {
    uint32_t port = edges[i].port;
    if (port > 65535) break;
    // All edges at one port first: a range may end where the same step's next one begins.
    for (; i < edges.size() && edges[i].port == port; ++i) {
      if (edges[i].opens)
        active.insert(edges[i].step);
      else
        active.erase(active.find(edges[i].step));
    }
    PortPiece piece = decide(steps, admin, active, static_cast<uint16_t>(port));
    if (port == 0)
      pieces.back() = piece;
    else if (piece.action != pieces.back().action || piece.rule != pieces.back().rule)
      pieces.push_back(piece);
  }
  return pieces;
}

}  // namespace

PortProgram build_program(const std::vector<Step>& steps, size_t admin) {
  std::multiset<uint32_t> always;
  for (uint32_t i = 0; i < steps.size(); ++i)
    if (steps[i].everything) always.insert(i);
  PortProgram program;
  program.tcp = sweep(steps, admin, always, k8s::Protocol::kTcp);
  program.udp = sweep(steps, admin, always, k8s::Protocol::kUdp);
  program.sctp = sweep(steps, admin, always, k8s::Protocol::kSctp);
  program.other = decide(steps, admin, always, 0);
  return program;
}

}  // namespace sallyport::policy
