// Opaque TCP: bytes both ways between two streams, with half-close and back-pressure.
#include <algorithm>

#include "proxy/entry.h"

namespace sallyport::proxy {
namespace {

class TcpRelay final : public Session, private DialUser {
 public:
  TcpRelay(Worker& worker, Pod& pod, Downstream who)
      : Session(worker, pod, who.direction),
        who_(std::move(who)),
        down_(*this),
        up_(*this),
        early_(worker.buffers()),
        dial_(worker, pod, *this),
        idle_([](void* self) { static_cast<TcpRelay*>(self)->on_idle(); }, this),
        started_(worker.loop().now()) {}

  void start(StreamPtr stream, Bytes first) {
    stream->set_user(down_);
    down_.stream = std::move(stream);
    early_.append(first);
    if (worker().overloaded()) {
      worker().counters().add(http::Counter::kMemoryBudget);
      refuse({RefusalKind::kOverload, {}, {}, -1});
      return;
    }
    std::expected<Target, Refusal> target;
    if (direction() == Direction::kInbound) {
      if (!authorize(true)) return;
      target = to_application(*pod().local, who_.client, who_.destination);
    } else {
      const Snapshot& snapshot = *worker().snapshot();
      target = choose(snapshot, *pod().local, resolve(snapshot, *pod().local, who_.destination),
                      pod().local->info->ips.front(), worker().load(), worker().random());
    }
    if (!target) {
      refuse(target.error());
      return;
    }
    target_ = *target;
    if (target_.pod) target_uid_ = target_.pod->uid;
    worker().load().add(target_.address);
    counted_ = true;
    worker().loop().arm(idle_, worker().limits().stream_idle);
    dial_.start(target_, Alpn::kTcp);
  }

  void on_snapshot() override {
    const Snapshot& snapshot = *worker().snapshot();
    // What target_ points into goes with the old snapshot.
    const std::string uid = target_uid_;
    target_.pod = snapshot.pod(target_.address.ip);
    if (direction() == Direction::kInbound) {
      target_.service = nullptr;
      authorize(false);
      return;
    }
    target_.service = resolve(snapshot, *pod().local, who_.destination).port.service;
    // Somebody else may have the address by now. What gate 1 no longer allows stalls in the kernel,
    // and goes on if the policy comes back.
    if (uid != (target_.pod ? target_.pod->uid : std::string())) {
      cut("the address has another owner now", {}, -1, false);
    }
  }

  void on_cut() override { cut("the pod goes", {}, -1, false); }

 private:
  struct Side final : StreamUser {
    explicit Side(TcpRelay& relay) : owner(relay) {}
    void on_data(Bytes bytes) override { owner.forward(*this, bytes); }
    void on_end() override { owner.ended(*this); }
    void on_drained() override { owner.drained(*this); }
    void on_failure(StreamFailure failure, std::string_view why) override {
      owner.failed(*this, failure, why);
    }
    TcpRelay& owner;
    StreamPtr stream;
    bool ended = false;
  };
  Side& other(Side& side) { return &side == &down_ ? up_ : down_; }

  void on_dialled(StreamPtr stream) override {
    stream->set_user(up_);
    up_.stream = std::move(stream);
    SeriesOf of;
    const Snapshot& snapshot = *worker().snapshot();
    const PodInfo* self = pod().local->info;
    const bool inbound = direction() == Direction::kInbound;
    of.reporter = inbound ? telemetry::Reporter::kDestination : telemetry::Reporter::kSource;
    of.source = inbound ? snapshot.pod(who_.client.ip) : self;
    of.destination = target_.pod;
    of.service = inbound ? snapshot.port(who_.destination).service : target_.service;
    of.source_principal = who_.principal;
    of.security = who_.principal.empty() ? telemetry::SecurityPolicy::kNone
                                         : telemetry::SecurityPolicy::kMutualTls;
    series_ = &worker().reporting().tcp(of);
    series_->opened();
    flow(telemetry::FlowKind::kConnection, target_.self ? "self" : "");
    if (!early_.empty()) {
      series_->received(early_.size());
      up_.stream->write(early_.bytes());
      early_.clear();
    }
    down_.stream->resume();
    if (down_.ended) up_.stream->finish();
  }

  void on_dial_failed(const Refusal& refusal) override { refuse(refusal); }

  void forward(Side& from, Bytes bytes) {
    Side& to = other(from);
    active_ = worker().loop().now();
    if (!to.stream) {
      early_.append(bytes);
      if (early_.size() > worker().limits().write_low) from.stream->pause();
      return;
    }
    if (&from == &down_)
      series_->received(bytes.size());
    else
      series_->sent(bytes.size());
    to.stream->write(bytes);
    if (to.stream->unsent() > worker().limits().write_high) from.stream->pause();
  }

  void drained(Side& side) {
    active_ = worker().loop().now();
    Side& source = other(side);
    if (source.stream && source.stream->paused() &&
        side.stream->unsent() < worker().limits().write_low)
      source.stream->resume();
  }

  void ended(Side& side) {
    if (side.ended) return;
    side.ended = true;
    Side& to = other(side);
    if (to.stream) to.stream->finish();
    if (!down_.ended || !up_.ended) return;
    finished("");
    Stream::linger(std::move(down_.stream));
    Stream::linger(std::move(up_.stream));
    end();
  }

  void failed(Side& side, StreamFailure failure, std::string_view why) {
    (void)failure;
    finished(why);
    Side& to = other(side);
    if (to.stream) to.stream->abort();
    end();
  }

  void on_idle() {
    const auto quiet = worker().loop().now() - active_;
    const std::chrono::nanoseconds most = worker().limits().stream_idle;
    if (quiet >= most) {
      worker().counters().add(http::Counter::kStreamIdle);
      cut("idle", {}, -1, false);
      return;
    }
    worker().loop().arm(idle_, most - quiet);
  }

  [[nodiscard]] const TlsFacts* tls() const {
    const Side& side = direction() == Direction::kInbound ? down_ : up_;
    return side.stream ? side.stream->tls() : nullptr;
  }

  // The connection as a whole, by the policies that hold now. False: it has ended.
  bool authorize(bool first) {
    const Snapshot& snapshot = *worker().snapshot();
    const LocalPod& local = *pod().local;
    const authz::PortMode& mode = local.info->modes.at(who_.destination.port);
    if (who_.principal.empty() && mode.mode == k8s::MutualTlsMode::kStrict) {
      cut("plaintext where mutual TLS is demanded", mode.policy, -1, false);
      return false;
    }
    if (!who_.principal.empty() && mode.mode == k8s::MutualTlsMode::kDisable) {
      cut("mutual TLS where it is disabled", mode.policy, -1, false);
      return false;
    }
    authz::ConnectionFacts facts;
    facts.principal = who_.principal;
    facts.source_ip = who_.client.ip;
    facts.destination_ip = who_.destination.ip;
    facts.destination_port = who_.destination.port;
    if (const TlsFacts* inside = down_.stream->tls()) facts.sni = inside->sni;
    const authz::Decision decision = local.matcher->decide(facts, nullptr);
    if (first || !decision.allow) {
      telemetry::MeshMetrics& mesh = worker().reporting().mesh();
      mesh.decision(telemetry::Reporter::kDestination,
                    decision.allow ? telemetry::Verdict::kAllow : telemetry::Verdict::kDeny,
                    decision.policy.text(), decision.rule);
      if (decision.audited)
        mesh.decision(telemetry::Reporter::kDestination, telemetry::Verdict::kAudit,
                      decision.audit_policy.text(), decision.audit_rule);
      if (!decision.dry_run_policy.empty())
        mesh.decision(telemetry::Reporter::kDestination,
                      decision.dry_run_deny ? telemetry::Verdict::kDryRunDeny
                                            : telemetry::Verdict::kDryRunAllow,
                      decision.dry_run_policy.text(), -1);
    }
    policy_ = decision.policy.text();
    rule_ = decision.rule;
    audited_ = decision.audited;
    generation_ = snapshot.generation();
    if (decision.allow) return true;
    cut(authz::to_string(decision.reason), policy_, decision.rule, false);
    return false;
  }

  telemetry::FlowRecord record(telemetry::FlowKind kind, std::string_view reason) const {
    telemetry::FlowRecord out;
    out.kind = kind;
    out.time_ns = wall_ns(worker().loop().wall());
    out.duration_ns =
        static_cast<uint64_t>(std::chrono::nanoseconds(worker().loop().now() - started_).count());
    out.inbound = direction() == Direction::kInbound ? 1 : 0;
    out.generation = generation_ != 0 ? generation_ : worker().snapshot()->generation();
    const SocketAddress& to = direction() == Direction::kOutbound && target_.address.port != 0
                                  ? target_.address
                                  : who_.destination;
    put_addresses(out, who_.client, to);
    if (up_.stream) {
      out.bytes_received = up_.stream->bytes_out();
      out.bytes_sent = up_.stream->bytes_in();
    }
    out.allow = 1;
    out.audited = audited_ ? 1 : 0;
    out.rule = static_cast<int16_t>(rule_);
    put(out.policy, policy_);
    put(out.reason, reason);
    if (target_.service) put(out.host, target_.service->host);
    put_tls(out, tls());
    return out;
  }
  void flow(telemetry::FlowKind kind, std::string_view reason) {
    if (worker().reporting().flows()) worker().reporting().flow(record(kind, reason));
  }

  void finished(std::string_view why) {
    if (!series_) return;
    series_->closed();
    flow(telemetry::FlowKind::kClosed, why);
  }

  // What was allowed is so no longer, or has ended by itself: both sides are reset.
  void cut(std::string_view why, std::string_view policy, int rule, bool network) {
    telemetry::FlowRecord told = record(telemetry::FlowKind::kRefused, why);
    told.allow = 0;
    told.network_denied = network ? 1 : 0;
    told.rule = static_cast<int16_t>(rule);
    std::fill(std::begin(told.policy), std::end(told.policy), '\0');
    put(told.policy, policy);
    worker().reporting().flow(told);
    if (series_) series_->closed();
    if (down_.stream) down_.stream->abort();
    if (up_.stream) up_.stream->abort();
    end();
  }

  void refuse(const Refusal& refusal) {
    tell_refused(worker(), pod(), who_, refusal, tls());
    if (down_.stream) down_.stream->abort();
    end();
  }

  void end() {
    if (counted_) worker().load().remove(target_.address);
    counted_ = false;
    idle_.cancel();
    down_.stream.reset();
    up_.stream.reset();
    early_.clear();
    close();
  }

  Downstream who_;
  Side down_, up_;
  ByteBuffer early_;  // from downstream, before there is an upstream
  Dial dial_;
  Target target_;
  std::string target_uid_;  // of the pod that has the address; empty: none
  Timer idle_;
  telemetry::TcpSeries* series_ = nullptr;
  Monotonic started_, active_ = started_;
  std::string policy_;
  int rule_ = -1;
  uint64_t generation_ = 0;
  bool counted_ = false, audited_ = false;
};

}  // namespace

void make_tcp_relay(Worker& worker, Pod& pod, StreamPtr stream, Downstream who, Bytes first) {
  auto* relay = new TcpRelay(worker, pod, std::move(who));
  relay->start(std::move(stream), first);
}

void tell_refused(Worker& worker, Pod& pod, const Downstream& who, const Refusal& refusal,
                  const TlsFacts* tls) {
  const bool inbound = who.direction == Direction::kInbound;
  const bool network = refusal.kind == RefusalKind::kNetworkPolicy;
  if (!refusal.policy.empty())
    worker.reporting().mesh().decision(
        inbound ? telemetry::Reporter::kDestination : telemetry::Reporter::kSource,
        telemetry::Verdict::kDeny, refusal.policy, refusal.rule, network);
  if (!worker.reporting().flows()) return;
  telemetry::FlowRecord record;
  record.kind = telemetry::FlowKind::kRefused;
  record.time_ns = wall_ns(worker.loop().wall());
  record.inbound = inbound ? 1 : 0;
  record.generation = worker.snapshot() ? worker.snapshot()->generation() : 0;
  put_addresses(record, who.client, who.destination);
  record.network_denied = network ? 1 : 0;
  record.rule = static_cast<int16_t>(refusal.rule);
  put(record.policy, refusal.policy);
  std::string reason(to_string(refusal.kind));
  if (!refusal.detail.empty()) reason = network ? refusal.detail : reason + ": " + refusal.detail;
  put(record.reason, reason);
  put_tls(record, tls);
  (void)pod;
  worker.reporting().flow(record);
}

}  // namespace sallyport::proxy
