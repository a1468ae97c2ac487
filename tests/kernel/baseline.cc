#include "kernel/baseline.h"

#include <algorithm>

namespace sallyport::kernel_test {

std::vector<Probe> Baseline::all_probes(const WorldNet& world) {
  using enum k8s::Protocol;
  std::vector<Probe> out;
  for (const Host& from : world.hosts()) {
    for (const Host& to : world.hosts()) {
      if (&from == &to || (!from.pod() && !to.pod()) || from.node) continue;
      for (Family family : {Family::kV4, Family::kV6}) {
        out.push_back({&from, &to, family, kIcmp, 0, true});
        for (uint16_t port : world.ports())
          for (k8s::Protocol protocol : {kTcp, kUdp, kSctp})
            if (!to.node || protocol != kSctp)
              out.push_back({&from, &to, family, protocol, port, true});
      }
    }
  }
  return out;
}

Status Baseline::measure(WorldNet& world, Prober& prober) {
  SP_CHECK_OK(world.gate().detach());
  constexpr size_t kBatch = 1000;
  std::vector<Probe> probes = all_probes(world);
  for (size_t at = 0; at < probes.size(); at += kBatch) {
    std::vector<Probe> batch(
        probes.begin() + static_cast<ptrdiff_t>(at),
        probes.begin() + static_cast<ptrdiff_t>(std::min(at + kBatch, probes.size())));
    SP_TRY(auto outcomes, prober.run(batch, false));
    for (size_t i = 0; i < batch.size(); ++i) {
      if (!outcomes[i].answered)
        return fail(Code::kInternal,
                    "with the gate detached there is no answer to " + batch[i].to_string());
      if (outcomes[i].event)
        return fail(Code::kInternal, "the detached gate reports " + batch[i].to_string());
      seen_.insert(key(batch[i]));
    }
  }
  return world.gate().attach();
}

}  // namespace sallyport::kernel_test
