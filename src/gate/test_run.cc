#include "gate/test_run.h"

#include <bpf/bpf.h>

#include "gate/kernel_tables.h"

namespace sallyport::gate {

namespace {

constexpr uint32_t kZero = 0;

}  // namespace

Result<TestRun> TestRun::open(uint32_t max_connections, uint32_t max_per_endpoint) {
  const LoadOptions options{max_connections, 65536, nullptr};
  SP_TRY(auto loaded, load_object(gate_test_object(), options));
  const sp_limits limits{max_connections, max_per_endpoint};
  if (::bpf_map_update_elem(loaded.maps.at("limits").get(), &kZero, &limits, 0) != 0)
    return fail_errno("writing the limits");
  return TestRun(std::move(loaded));
}

Status TestRun::publish(const Tables& tables) {
  for (uint32_t i = 0; i < SP_SLOTS; ++i)
    SP_CHECK_OK(install_tables(loaded_.maps, generation_ + 1 + i, tables));
  return bump();
}

Status TestRun::bump() {
  ++generation_;
  return switch_generation(loaded_.maps, generation_);
}

Status TestRun::set_arrival(const Arrival& arrival) {
  const sp_test_arrival value{arrival.in,
                              arrival.out,
                              static_cast<uint8_t>(arrival.family == Family::kV4 ? 4 : 6),
                              static_cast<uint8_t>(arrival.local),
                              static_cast<uint8_t>(arrival.reply),
                              0};
  if (::bpf_map_update_elem(loaded_.maps.at("test_arrival").get(), &kZero, &value, 0) != 0)
    return fail_errno("writing the arrival of the test packet");
  return {};
}

Result<TestRun::Outcome> TestRun::run(std::span<const uint8_t> packet, uint32_t repeat) {
  bpf_test_run_opts run{};
  run.sz = sizeof(run);
  run.data_in = packet.data();
  run.data_size_in = static_cast<uint32_t>(packet.size());
  run.repeat = static_cast<int>(repeat);
  if (::bpf_prog_test_run_opts(loaded_.program.get(), &run) != 0)
    return fail_errno("running the gate's program on a test packet");
  return Outcome{run.retval == 1, run.duration};
}

}  // namespace sallyport::gate
