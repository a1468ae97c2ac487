// The gate in the kernel: pins, program, tables and links behind gate.h.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <chrono>
#include <unordered_set>

#include "base/log.h"
#include "gate/accounts.h"
#include "gate/events.h"
#include "gate/gate.h"
#include "gate/kernel_tables.h"
#include "gate/links.h"
#include "gate/object.h"
#include "gate/pins.h"
#include "gate/tables.h"

namespace sallyport::gate {

namespace {

constexpr uint32_t kZero = 0;

struct FreeRing {
  void operator()(ring_buffer* ring) const { ::ring_buffer__free(ring); }
};

Status write_limits(const MapSet& maps, const GateConfig& config) {
  bpf_map_info info{};
  uint32_t size = sizeof(info);
  if (::bpf_obj_get_info_by_fd(maps.at("connections").get(), &info, &size) != 0)
    return fail_errno("asking for the size of the connection table");
  if (config.max_connections > info.max_entries)
    log_warn("gate", "the connection table was made with " + std::to_string(info.max_entries) +
                         " entries; it takes " + std::to_string(config.max_connections) +
                         " only after `sallyport down` and a new start");
  const sp_limits limits{std::min(config.max_connections, info.max_entries),
                         config.max_connections_per_endpoint};
  if (::bpf_map_update_elem(maps.at("limits").get(), &kZero, &limits, 0) != 0)
    return fail_errno("writing the limits of the connection table");
  return {};
}

class KernelGate : public Gate {
 public:
  KernelGate(GateConfig config, Pins pins) : config_(std::move(config)), pins_(std::move(pins)) {}

  Status start();

  Result<uint64_t> publish(const policy::Compiled& compiled, const std::vector<EndpointPort>& ports,
                           const std::vector<TlsDemand>& tls) override;
  Status attach() override { return attach_links(pins_.dir(), program_.get(), config_.netns_fd); }
  Status detach() override { return detach_links(pins_.dir()); }
  [[nodiscard]] int event_fd() const override { return ::ring_buffer__epoll_fd(ring_.get()); }
  void drain_events(const std::function<void(const FlowEvent&)>& sink) override;
  Result<GateStats> stats() override;
  Result<std::vector<Connection>> connections(size_t most) override {
    return read_connections(maps_, most, names_);
  }
  void forget_endpoint(uint32_t endpoint_id) override;
  Status remove() override;

 private:
  Status start_fresh();
  Status take_over();
  Status upgrade(uint64_t hash);
  Status write_meta(uint64_t hash);
  static int on_event(void* self, void* data, size_t size);

  GateConfig config_;
  Pins pins_;
  MapSet maps_;
  Fd program_, forget_, start_;
  std::unique_ptr<ring_buffer, FreeRing> ring_;
  const std::function<void(const FlowEvent&)>* sink_ = nullptr;
  GateStats last_;  // what only the publisher knows: sizes of the tables, time of the publication
  uint64_t publications_ = 0;
  std::unordered_set<uint32_t> counted_rules_;
  TlsNames names_;
};

Status KernelGate::start() {
  if (pins_.complete()) {
    SP_CHECK_OK(take_over());
  } else {
    SP_CHECK_OK(start_fresh());
  }
  SP_CHECK_OK(start_sweep(start_.get()));
  ring_.reset(::ring_buffer__new(maps_.at("events").get(), &KernelGate::on_event, this, nullptr));
  if (!ring_) return fail_errno("opening the ring buffer of flow events");
  return {};
}

Status KernelGate::write_meta(uint64_t hash) {
  const sp_meta meta{kLayoutVersion, 0, hash};
  if (::bpf_map_update_elem(maps_.at("meta").get(), &kZero, &meta, 0) != 0)
    return fail_errno("writing the gate's version");
  return {};
}

Status KernelGate::start_fresh() {
  SP_CHECK_OK(pins_.begin());
  const LoadOptions options{config_.max_connections, config_.max_endpoints, nullptr};
  SP_TRY(auto loaded, load_object(gate_object(), options));
  maps_ = std::move(loaded.maps);
  program_ = std::move(loaded.program);
  forget_ = std::move(loaded.forget);
  start_ = std::move(loaded.start);
  SP_CHECK_OK(write_limits(maps_, config_));
  SP_CHECK_OK(write_meta(object_hash(gate_object())));
  SP_CHECK_OK(pins_.pin_maps(maps_));
  SP_CHECK_OK(pins_.pin(program_.get(), "program"));
  SP_CHECK_OK(pins_.pin(forget_.get(), "forget"));
  SP_CHECK_OK(pins_.pin(start_.get(), "start"));
  // The first generation knows the ranges and no endpoint: every pod address is denied.
  const auto first = publish(policy::Compiled{}, {}, {});
  if (!first) return std::unexpected(first.error());
  SP_CHECK_OK(attach());
  return pins_.pin(maps_.at("meta").get(), "meta");
}

Status KernelGate::take_over() {
  SP_TRY(maps_, pins_.get_maps());
  sp_meta meta{};
  if (::bpf_map_lookup_elem(maps_.at("meta").get(), &kZero, &meta) != 0)
    return fail_errno("reading the gate's version");
  if (meta.layout != kLayoutVersion)
    return fail(Code::kConflict, "the pinned gate has layout " + std::to_string(meta.layout) +
                                     ", this binary has layout " + std::to_string(kLayoutVersion));
  SP_CHECK_OK(write_limits(maps_, config_));
  read_names(maps_, names_);
  const uint64_t hash = object_hash(gate_object());
  if (meta.program_hash != hash) return upgrade(hash);
  SP_TRY(program_, pins_.get("program"));
  SP_TRY(forget_, pins_.get("forget"));
  SP_TRY(start_, pins_.get("start"));
  return attach();
}

// Another program over the same tables: attached beside the old one, which then goes. The sweep
// goes over to the new one as well.
Status KernelGate::upgrade(uint64_t hash) {
  const LoadOptions options{config_.max_connections, config_.max_endpoints, &maps_};
  SP_TRY(auto loaded, load_object(gate_object(), options));
  program_ = std::move(loaded.program);
  forget_ = std::move(loaded.forget);
  start_ = std::move(loaded.start);
  SP_CHECK_OK(attach());
  SP_CHECK_OK(pins_.pin(program_.get(), "program"));
  SP_CHECK_OK(pins_.pin(forget_.get(), "forget"));
  SP_CHECK_OK(pins_.pin(start_.get(), "start"));
  return write_meta(hash);
}

Result<uint64_t> KernelGate::publish(const policy::Compiled& compiled,
                                     const std::vector<EndpointPort>& ports,
                                     const std::vector<TlsDemand>& tls) {
  const auto begin = std::chrono::steady_clock::now();
  SP_TRY(const Tables tables, build_tables(compiled, ports, config_, tls, names_));
  SP_CHECK_OK(write_names(maps_, tables, names_));
  SP_TRY(const uint64_t before, read_generation(maps_));
  const uint64_t generation = before + 1;
  open_accounts(maps_, tables, counted_rules_);
  SP_CHECK_OK(install_tables(maps_, generation, tables));
  SP_CHECK_OK(switch_generation(maps_, generation));
  last_.endpoints = tables.endpoints.size();
  last_.cidrs = tables.prefixes.size();
  last_.programs = compiled.programs.size();
  last_.pairs = tables.programs.size();
  last_.pieces = tables.pieces.size();
  last_.tls_rows = tables.tls.size();
  last_.last_publish_micros =
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                std::chrono::steady_clock::now() - begin)
                                .count());
  constexpr uint64_t kTidyEvery = 64;
  if (publications_++ % kTidyEvery == kTidyEvery - 1) tidy_accounts(maps_, tables, counted_rules_);
  return generation;
}

int KernelGate::on_event(void* self, void* data, size_t size) {
  auto* gate = static_cast<KernelGate*>(self);
  if (size < sizeof(sp_event) || gate->sink_ == nullptr) return 0;
  (*gate->sink_)(to_flow_event(*static_cast<const sp_event*>(data), gate->names_));
  return 0;
}

void KernelGate::drain_events(const std::function<void(const FlowEvent&)>& sink) {
  sink_ = &sink;
  ::ring_buffer__consume(ring_.get());
  sink_ = nullptr;
}

Result<GateStats> KernelGate::stats() {
  GateStats stats = last_;
  SP_TRY(stats.generation, read_generation(maps_));
  stats.endpoints_limit = config_.max_endpoints;
  SP_CHECK_OK(read_accounts(maps_, stats));
  return stats;
}

void KernelGate::forget_endpoint(uint32_t endpoint_id) {
  const auto done = run_program(forget_.get(), endpoint_id, "ending its connections");
  if (!done)
    log_error("gate", "endpoint " + std::to_string(endpoint_id) + ": " + done.error().message);
  close_account(maps_, endpoint_id);
}

Status KernelGate::remove() {
  return pins_.remove();
}

}  // namespace

Result<std::unique_ptr<Gate>> open_gate(const GateConfig& config) {
  if (config.max_connections == 0 || config.max_connections_per_endpoint == 0 ||
      config.max_endpoints == 0)
    return fail(Code::kInvalid, "the gate's limits must be at least 1");
  SP_TRY(auto pins, Pins::open(config.pin_dir));
  auto gate = std::make_unique<KernelGate>(config, std::move(pins));
  SP_CHECK_OK(gate->start());
  return gate;
}

}  // namespace sallyport::gate
