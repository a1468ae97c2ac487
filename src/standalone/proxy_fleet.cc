#include "standalone/proxy_fleet.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <random>

#include "base/log.h"
#include "standalone/teardown.h"

namespace sallyport::standalone {
namespace {

constexpr size_t kMostMetricsBytes = 64 << 20;
constexpr int kMessagesPerTurn = 64;
// A process that does not read is not read from either, until it does.
constexpr size_t kMostQueued = 4096;
constexpr int kIdleMillis = 1000;
// After its channel was closed.
constexpr auto kEndTime = std::chrono::seconds(3);
constexpr auto kNeedRetry = std::chrono::milliseconds(100);
constexpr size_t kMostRings = 4096;

}  // namespace

ProxyFleet::ProxyFleet(Options options, const Clock& clock, Fd wake)
    : options_(std::move(options)), clock_(clock), wake_(std::move(wake)) {}

Result<std::unique_ptr<ProxyFleet>> ProxyFleet::start(Options options, const Clock& clock) {
  Fd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return fail_errno("eventfd");
  std::unique_ptr<ProxyFleet> fleet(new ProxyFleet(std::move(options), clock, std::move(wake)));
  try {
    fleet->thread_ = std::thread([raw = fleet.get()] { raw->run(); });
  } catch (const std::system_error& e) {
    return fail(Code::kUnavailable, std::string("cannot start a thread: ") + e.what());
  }
  return fleet;
}

ProxyLink::Adopted ProxyFleet::adopt(const std::vector<Survivor>& survivors) {
  ProxyLink::Adopted all;
  for (const Survivor& survivor : survivors) {
    auto link = std::make_unique<ProxyLink>(survivor.group, options_.proxy, clock_);
    auto adopted = link->adopt(survivor.process.pid, survivor.process.start_time);
    if (!adopted) {
      log_warn("mesh", survivor.group + ": the proxy of the node before is not taken over: " +
                           adopted.error().message);
      link.reset();
      end_process(survivor.process.pid, survivor.process.start_time);
      continue;
    }
    all.generation = std::max(all.generation, adopted->generation);
    all.pods.merge(adopted->pods);
    std::lock_guard lock(mutex_);
    for (const auto& ring : link->rings())
      if (rings_.size() < kMostRings) rings_.push_back({ring});
    adopted_[survivor.group] = std::move(link);
  }
  return all;
}

ProxyFleet::~ProxyFleet() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_up();
  if (thread_.joinable()) thread_.join();
}

void ProxyFleet::wake_up() {
  uint64_t one = 1;
  [[maybe_unused]] ssize_t n = ::write(wake_.get(), &one, sizeof one);
}

void ProxyFleet::set(FleetState state) {
  {
    std::lock_guard lock(mutex_);
    next_ = std::make_shared<const FleetState>(std::move(state));
  }
  wake_up();
}

std::map<std::string, std::string> ProxyFleet::wait_ready(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  auto late = [&] {
    std::map<std::string, std::string> out;
    for (const ProxyView& view : views_)
      if (view.in_force < view.wanted)
        out[view.group] = view.problem.empty() ? "does not answer" : view.problem;
    return out;
  };
  // A new state is first taken over by the thread.
  changed_.wait_for(lock, timeout, [&] {
    return !next_ && std::ranges::all_of(views_, [](const ProxyView& view) {
      return view.in_force >= view.wanted || !view.problem.empty();
    });
  });
  if (next_) return {{"all", "the thread of the proxies does not answer"}};
  return late();
}

std::map<std::string, std::string> ProxyFleet::ask(bool metrics,
                                                   std::chrono::milliseconds timeout) {
  auto question = std::make_shared<Question>();
  question->metrics = metrics;
  std::unique_lock lock(mutex_);
  questions_.push_back(question);
  wake_up();
  // The thread takes it off the list when all have answered or are gone.
  changed_.wait_for(lock, timeout,
                    [&] { return std::ranges::find(questions_, question) == questions_.end(); });
  std::erase(questions_, question);
  return question->answers;
}

std::map<std::string, std::string> ProxyFleet::metrics(std::chrono::milliseconds timeout) {
  return ask(true, timeout);
}

std::map<std::string, std::string> ProxyFleet::status(std::chrono::milliseconds timeout) {
  return ask(false, timeout);
}

size_t ProxyFleet::drain_flows(size_t most,
                               const std::function<void(const telemetry::FlowRecord&)>& sink) {
  std::vector<RingEntry> rings;
  {
    std::lock_guard lock(mutex_);
    rings = rings_;
  }
  size_t count = 0;
  telemetry::FlowRecord record;
  for (RingEntry& entry : rings)
    while (count < most && entry.ring->pop(record)) {
      sink(record);
      ++count;
    }
  if (count == most) return count;
  // Rings of processes that ended are let go once they are empty.
  std::lock_guard lock(mutex_);
  std::erase_if(rings_, [&](const RingEntry& entry) {
    bool was_gone = std::ranges::any_of(
        rings, [&](const RingEntry& seen) { return seen.ring == entry.ring && seen.gone; });
    if (was_gone) lost_ += entry.ring->lost();
    return was_gone;
  });
  return count;
}

uint64_t ProxyFleet::flows_lost() {
  std::lock_guard lock(mutex_);
  uint64_t lost = lost_;
  for (const RingEntry& entry : rings_) lost += entry.ring->lost();
  return lost;
}

std::vector<ProxyView> ProxyFleet::proxies() {
  std::lock_guard lock(mutex_);
  return views_;
}

std::vector<CertificateView> ProxyFleet::certificates() {
  std::lock_guard lock(mutex_);
  return certificate_views_;
}

ProxyFleet::Counts ProxyFleet::counts() {
  std::lock_guard lock(mutex_);
  return counts_;
}

// --- on the thread -----------------------------------------------------------------------------

void ProxyFleet::run() {
  while (turn()) {
  }
}

int ProxyFleet::poll_millis() const {
  auto now = clock_.now();
  auto wait = std::chrono::milliseconds(kIdleMillis);
  auto until = [&](Monotonic time) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(time - now);
    wait = std::clamp(left, std::chrono::milliseconds(0), wait);
  };
  for (const auto& [group, link] : links_)
    if (!link->running()) until(link->start_at);
  for (const auto& link : ending_) until(link->ended_at);
  for (const Need& need : needs_) until(need.due);
  if (certificates_) {
    auto left = certificates_->due() - clock_.wall();
    if (left < std::chrono::seconds(1))
      wait = std::clamp(std::chrono::ceil<std::chrono::milliseconds>(left),
                        std::chrono::milliseconds(0), wait);
  }
  return static_cast<int>(wait.count());
}

bool ProxyFleet::turn() {
  std::vector<pollfd> fds{{wake_.get(), POLLIN, 0}};
  std::vector<ProxyLink*> whose{nullptr};
  auto watch = [&](ProxyLink& link) {
    if (!link.running()) return;
    fds.push_back({link.pid_fd(), POLLIN, 0});
    whose.push_back(&link);
    if (link.channel_fd() < 0) return;
    short events = link.queued() > 0 ? POLLOUT : 0;
    if (link.queued() < kMostQueued) events |= POLLIN;
    fds.push_back({link.channel_fd(), events, 0});
    whose.push_back(&link);
  };
  for (auto& [group, link] : links_) watch(*link);
  for (auto& link : ending_) watch(*link);
  if (::poll(fds.data(), fds.size(), poll_millis()) < 0 && errno != EINTR) {
    log_error("mesh", fail_errno("poll").error().message);
    ::usleep(10'000);
  }
  uint64_t count = 0;
  [[maybe_unused]] ssize_t n = ::read(wake_.get(), &count, sizeof count);

  for (size_t i = 1; i < fds.size(); ++i) {
    ProxyLink& link = *whose[i];
    if (!link.running() || !fds[i].revents) continue;
    if (fds[i].fd == link.pid_fd())
      gone(link);
    else if (fds[i].fd == link.channel_fd())
      serve(link);
  }
  bool stopping = false;
  {
    std::lock_guard lock(mutex_);
    stopping = stopping_;
  }
  if (stopping) state_ = std::make_shared<FleetState>();
  if (!stopping) take_state();
  end_unwanted();
  if (certificates_ && certificates_->renew())
    for (auto& [group, link] : links_)
      if (link->running()) tell_certificates(*link, state_->groups.at(group));
  start_due();
  retry_needs();
  ask_due();
  for (auto& [group, link] : links_)
    if (link->running() && !link->flush()) gone(*link);
  publish();
  return !stopping || !links_.empty() || !ending_.empty();
}

void ProxyFleet::take_state() {
  std::shared_ptr<const FleetState> next;
  {
    std::lock_guard lock(mutex_);
    next = next_;
  }
  if (!next || next == state_) return;
  state_ = next;
  {
    std::lock_guard lock(mutex_);
    links_.merge(adopted_);
  }
  if (state_->authority && (!certificates_ || certificates_->authority() != state_->authority)) {
    auto engine = std::make_shared<std::minstd_rand>(std::random_device{}());
    certificates_ = std::make_unique<Certificates>(
        state_->authority, options_.svid_ttl, clock_,
        [engine] { return std::uniform_real_distribution<double>(0, 1)(*engine); });
  }
  if (certificates_) certificates_->want(state_->identities);
  for (const auto& [name, group] : state_->groups) {
    auto& link = links_[name];
    if (!link) link = std::make_unique<ProxyLink>(name, options_.proxy, clock_);
    if (link->running()) tell(*link, group);
  }
}

void ProxyFleet::start_due() {
  for (auto& [name, link] : links_) {
    if (link->running() || clock_.now() < link->start_at) continue;
    if (auto started = link->start(); !started) {
      log_error("mesh", name + ": " + started.error().message);
      continue;
    }
    {
      std::lock_guard lock(mutex_);
      for (const auto& ring : link->rings())
        if (rings_.size() < kMostRings) rings_.push_back({ring});
    }
    tell(*link, state_->groups.at(name));
  }
}

void ProxyFleet::end_unwanted() {
  for (auto it = links_.begin(); it != links_.end();) {
    if (state_->groups.contains(it->first)) {
      ++it;
      continue;
    }
    it->second->close();
    it->second->ended_at = clock_.now() + kEndTime;
    past_restarts_ += it->second->restarts;
    if (it->second->running()) ending_.push_back(std::move(it->second));
    it = links_.erase(it);
  }
  for (auto& link : ending_)
    if (link->running() && clock_.now() >= link->ended_at) link->kill();
  std::erase_if(ending_, [](const auto& link) { return !link->running(); });
}

void ProxyFleet::gone(ProxyLink& link) {
  {
    std::lock_guard lock(mutex_);
    for (RingEntry& entry : rings_)
      if (std::ranges::find(link.rings(), entry.ring) != link.rings().end()) entry.gone = true;
    for (const auto& question : questions_) question->waiting.erase(link.group());
  }
  std::erase_if(needs_, [&](const Need& need) { return need.group == link.group(); });
  link.ended();
}

void ProxyFleet::serve(ProxyLink& link) {
  for (int i = 0; i < kMessagesPerTurn && link.running() && link.queued() < kMostQueued; ++i) {
    auto message = link.receive();
    if (message) {
      on(link, std::move(*message));
      continue;
    }
    if (message.error().code == Code::kUnavailable) break;
    if (message.error().code == Code::kInvalid) {
      // It runs code that is not ours, or a bug does: nothing of it can be trusted.
      log_error("mesh", link.group() + ": " + message.error().message);
    }
    gone(link);
    return;
  }
  if (!link.flush()) gone(link);
}

void ProxyFleet::on(ProxyLink& link, mesh::ToNode message) {
  auto answer = [&](uint64_t number, const Fd& content) {
    auto text = mesh::from_memfd(content, kMostMetricsBytes);
    std::lock_guard lock(mutex_);
    for (const auto& question : questions_) {
      auto waiting = question->waiting.find(link.group());
      if (waiting == question->waiting.end() || waiting->second != number) continue;
      question->waiting.erase(waiting);
      if (text)
        question->answers[link.group()] = *text;
      else
        log_warn("mesh", link.group() + ": " + text.error().message);
    }
  };
  if (auto* ready = std::get_if<mesh::ReadyMessage>(&message)) {
    link.ready = std::max(link.ready, std::min(ready->generation, link.told.generation));
    if (link.ready >= link.refused) link.problem.clear();
    tell_more(link);
  } else if (auto* refused = std::get_if<mesh::RefusedMessage>(&message)) {
    link.refused = refused->generation;
    link.problem = "the proxy refuses configuration " + std::to_string(refused->generation) + ": " +
                   refused->why.substr(0, 1000);
    log_error("mesh", link.group() + ": " + link.problem);
    tell_more(link);
  } else if (auto* need = std::get_if<mesh::NeedSockets>(&message)) {
    if (!give_sockets(link, *need))
      needs_.push_back({link.group(), *need, clock_.now() + kNeedRetry});
  } else if (auto* metrics = std::get_if<mesh::MetricsAnswer>(&message)) {
    answer(metrics->number, metrics->content);
  } else if (auto* status = std::get_if<mesh::StatusAnswer>(&message)) {
    answer(status->number, status->content);
  }
}

void ProxyFleet::ask_due() {
  std::lock_guard lock(mutex_);
  for (const auto& question : questions_) {
    if (question->asked) continue;
    question->asked = true;
    for (auto& [name, link] : links_) {
      // One that has no configuration yet has nothing to tell.
      if (!link->running() || link->ready == 0) continue;
      uint64_t number = next_number_++;
      question->waiting[name] = number;
      if (question->metrics)
        link->queue(mesh::MetricsRequest{number});
      else
        link->queue(mesh::StatusRequest{number});
    }
  }
}

void ProxyFleet::publish() {
  std::vector<ProxyView> views;
  Counts counts;
  counts.restarts = past_restarts_;
  for (const auto& [name, link] : links_) {
    ProxyView view{name,        link->pid(),    link->start_time(), 0,
                   link->ready, link->restarts, link->problem};
    if (auto group = state_->groups.find(name); group != state_->groups.end())
      view.wanted = group->second.generation;
    counts.restarts += link->restarts;
    views.push_back(std::move(view));
  }
  if (certificates_) {
    counts.issued = certificates_->issued();
    counts.issue_failures = certificates_->failures();
  }
  {
    std::lock_guard lock(mutex_);
    views_ = std::move(views);
    certificate_views_ = certificates_ ? certificates_->views() : std::vector<CertificateView>{};
    counts_ = counts;
    if (next_ == state_) next_.reset();
    std::erase_if(questions_, [](const auto& question) {
      return question->asked && question->waiting.empty();
    });
  }
  changed_.notify_all();
}

}  // namespace sallyport::standalone
