#include "proxy/control.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "base/log.h"
#include "mesh/config.h"
#include "proxy/control_answers.h"

namespace sallyport::proxy {
namespace {

constexpr size_t kConfigMost = 256 << 20;
constexpr size_t kSvidMost = 4 << 20;
constexpr size_t kAskedMost = 32;  // wishes for one stock

Fd copy(const Fd& fd) {
  return fd ? Fd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3)) : Fd();
}

}  // namespace

Result<std::unique_ptr<ControlMailbox>> ControlMailbox::create() {
  auto out = std::make_unique<ControlMailbox>();
  out->wake_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!out->wake_) return fail_errno("eventfd");
  return out;
}

void ControlMailbox::wake() {
  const uint64_t one = 1;
  [[maybe_unused]] ssize_t n = ::write(wake_.get(), &one, sizeof one);
}

void ControlMailbox::ask(SocketRequest request) {
  {
    std::lock_guard lock(mutex_);
    content_.requests.push_back(std::move(request));
  }
  wake();
}

void ControlMailbox::call(std::move_only_function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    content_.tasks.push_back(std::move(task));
  }
  wake();
}

ControlMailbox::Content ControlMailbox::take() {
  uint64_t count = 0;
  [[maybe_unused]] ssize_t n = ::read(wake_.get(), &count, sizeof count);
  Content out;
  std::lock_guard lock(mutex_);
  std::swap(out, content_);
  return out;
}

Control::Control(mesh::Channel channel, ControlMailbox& mailbox, std::vector<Worker*> workers,
                 Fd attach)
    : channel_(std::move(channel)),
      attach_(std::move(attach)),
      mailbox_(mailbox),
      workers_(std::move(workers)) {}

Status Control::run() {
  while (true) {
    auto turned = turn();
    if (turned) continue;
    if (turned.error().code != Code::kNotFound) return turned;
    if (!attach_) return {};
    SP_CHECK_OK(wait_for_node());
  }
}

// The pods go on under the last configuration; sockets are used up from the stock.
Status Control::wait_for_node() {
  channel_ = mesh::Channel(Fd());
  outbox_.clear();
  while (true) {
    std::array<pollfd, 2> waits{};
    waits[0] = {attach_.get(), POLLIN, 0};
    waits[1] = {mailbox_.fd(), POLLIN, 0};
    if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) return fail_errno("poll");
    if (waits[1].revents != 0) take_requests();
    if ((waits[0].revents & POLLIN) == 0) continue;
    Fd socket(::accept4(attach_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) continue;
    channel_ = mesh::Channel(std::move(socket));
    break;
  }
  for (const auto& [uid, fds] : listeners_)
    send(mesh::ServingMessage{uid, copy(fds[0]), copy(fds[1]), copy(fds[2]), copy(fds[3])});
  send(mesh::AttachedMessage{generation_, mesh::kConfigSchema});
  for (const auto& [key, waiting] : asked_)
    for (const Asked& asked : waiting)
      send(mesh::NeedSockets{key.uid, key.kind, key.family, asked.count});
  return {};
}

void Control::take_requests() {
  ControlMailbox::Content content = mailbox_.take();
  for (const ControlMailbox::SocketRequest& request : content.requests) {
    auto& waiting = asked_[{request.uid, request.kind, request.family}];
    waiting.push_back({request.worker, request.count});
    // Workers repeat what was not answered; while no node is there that adds up.
    if (waiting.size() > kAskedMost) waiting.pop_front();
    send(mesh::NeedSockets{request.uid, request.kind, request.family, request.count});
  }
  for (auto& task : content.tasks) task();
}

Status Control::turn() {
  std::array<pollfd, 2> waits{};
  waits[0] = {channel_.fd(), static_cast<short>(POLLIN | (outbox_.empty() ? 0 : POLLOUT)), 0};
  waits[1] = {mailbox_.fd(), POLLIN, 0};
  if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) return fail_errno("poll");
  if (waits[1].revents != 0) take_requests();
  if (waits[0].revents & POLLOUT) flush();
  if (waits[0].revents & (POLLIN | POLLHUP | POLLERR)) return receive();
  return {};
}

Status Control::receive() {
  constexpr int kMessagesPerTurn = 64;
  for (int i = 0; i < kMessagesPerTurn; ++i) {
    auto message = channel_.receive_to_proxy();
    if (!message) {
      if (message.error().code == Code::kUnavailable) return {};
      if (message.error().code == Code::kInvalid) {
        log_warn("proxy", "a message of the node: " + message.error().message);
        continue;
      }
      return std::unexpected(std::move(message).error());
    }
    std::visit([this](auto&& m) { handle(std::move(m)); }, std::move(*message));
  }
  return {};
}

void Control::send(mesh::ToNode message) {
  if (channel_.fd() < 0) return;  // no node: it asks anew when it is there
  outbox_.push_back(std::move(message));
  flush();
}

void Control::flush() {
  while (!outbox_.empty()) {
    auto sent = channel_.send(outbox_.front());
    if (!sent && sent.error().code == Code::kUnavailable) return;
    if (!sent && sent.error().code != Code::kNotFound)
      log_warn("proxy", "a message to the node: " + sent.error().message);
    outbox_.pop_front();
  }
}

void Control::on_all(const std::function<void(size_t, Worker&)>& task,
                     std::move_only_function<void()> then) {
  struct Gather {
    std::atomic<size_t> left;
    std::move_only_function<void()> then;
  };
  auto gather = std::make_shared<Gather>();
  gather->left = workers_.size();
  gather->then = std::move(then);
  for (size_t i = 0; i < workers_.size(); ++i) {
    Worker* worker = workers_[i];
    worker->loop().post([this, i, worker, task, gather] {
      task(i, *worker);
      if (gather->left.fetch_sub(1, std::memory_order_acq_rel) == 1)
        mailbox_.call([gather] { gather->then(); });
    });
  }
}

void Control::handle(mesh::ConfigMessage message) {
  auto refuse = [&](const std::string& why) {
    log_warn("proxy", "configuration " + std::to_string(message.generation) + " refused: " + why);
    send(mesh::RefusedMessage{message.generation, why});
  };
  auto text = mesh::from_memfd(message.content, kConfigMost);
  if (!text) return refuse(text.error().message);
  auto config = mesh::decode(*text);
  if (!config) return refuse(config.error().message);
  text->clear();
  text->shrink_to_fit();
  if (config->generation <= generation_ && generation_ != 0)
    return refuse("generation " + std::to_string(config->generation) + " is not newer than " +
                  std::to_string(generation_));
  auto snapshot = Snapshot::build(std::move(*config));
  if (!snapshot) return refuse(snapshot.error().message);
  generation_ = (*snapshot)->generation();
  on_all([snapshot = *snapshot](size_t, Worker& worker) { worker.set_snapshot(snapshot); },
         [this, generation = generation_] { send(mesh::ReadyMessage{generation}); });
}

void Control::handle(mesh::PodMessage message) {
  const bool exclusive = workers_.size() > 1;
  if (attach_)
    listeners_[message.uid] = {copy(message.outbound4), copy(message.outbound6),
                               copy(message.inbound4), copy(message.inbound6)};
  for (size_t i = 0; i < workers_.size(); ++i) {
    const bool last = i + 1 == workers_.size();
    auto give = [&](Fd& fd) { return last ? std::move(fd) : copy(fd); };
    std::vector<Fd> outbound, inbound;
    outbound.push_back(give(message.outbound4));
    outbound.push_back(give(message.outbound6));
    inbound.push_back(give(message.inbound4));
    inbound.push_back(give(message.inbound6));
    Worker* worker = workers_[i];
    worker->loop().post(
        [worker, uid = message.uid, out = std::move(outbound), in = std::move(inbound),
         exclusive]() mutable { worker->add_pod(uid, std::move(out), std::move(in), exclusive); });
  }
}

void Control::handle(mesh::PodGoneMessage message) {
  std::erase_if(asked_, [&](const auto& entry) { return entry.first.uid == message.uid; });
  listeners_.erase(message.uid);
  for (Worker* worker : workers_)
    worker->loop().post([worker, uid = message.uid] { worker->remove_pod(uid); });
}

// To whoever asked first; without a request, to the workers in turn.
void Control::handle(mesh::SocketsMessage message) {
  std::vector<Fd> left = std::move(message.sockets);
  auto deliver = [&](size_t index, std::vector<Fd> sockets) {
    Worker* worker = workers_[index];
    worker->loop().post([worker, uid = message.uid, kind = message.kind, family = message.family,
                         s = std::move(sockets)]() mutable {
      worker->add_sockets(uid, kind, family, std::move(s));
    });
  };
  auto found = asked_.find({message.uid, message.kind, message.family});
  while (found != asked_.end() && !found->second.empty() && !left.empty()) {
    Asked& asked = found->second.front();
    const size_t n = std::min(left.size(), static_cast<size_t>(asked.count));
    std::vector<Fd> part;
    std::move(left.end() - static_cast<ptrdiff_t>(n), left.end(), std::back_inserter(part));
    left.resize(left.size() - n);
    deliver(asked.worker, std::move(part));
    asked.count -= static_cast<int>(n);
    if (asked.count <= 0) found->second.pop_front();
  }
  if (found != asked_.end() && found->second.empty()) asked_.erase(found);
  if (!left.empty()) deliver(left.size() % workers_.size(), std::move(left));
}

void Control::handle(mesh::SvidMessage message) {
  auto text = mesh::from_memfd(message.content, kSvidMost);
  auto svid = text ? parse_svid(*text) : std::unexpected(text.error());
  if (!svid) {
    log_warn("proxy", "the certificate of " + message.id + ": " + svid.error().message);
    return;
  }
  certificates_[(*svid)->id.to_string()] =
      std::chrono::duration_cast<std::chrono::seconds>((*svid)->not_after.time_since_epoch())
          .count();
  for (Worker* worker : workers_)
    worker->loop().post([worker, svid = *svid] { worker->set_svid(svid); });
}

void Control::handle(mesh::AccessLogMessage message) {
  for (Worker* worker : workers_) {
    std::optional<telemetry::AccessLogWriter> log;
    if (message.file) {
      auto opened = telemetry::AccessLogWriter::open(copy(message.file));
      if (!opened) {
        log_warn("proxy", "access log: " + opened.error().message);
        return;
      }
      log = std::move(*opened);
    }
    worker->loop().post(
        [worker, l = std::move(log)]() mutable { worker->reporting().set_log(std::move(l)); });
  }
}

void Control::handle(mesh::FlowRingMessage message) {
  if (message.worker < 0 || static_cast<size_t>(message.worker) >= workers_.size()) {
    log_warn("proxy", "a flow ring for a worker that is not there");
    return;
  }
  auto ring = telemetry::FlowRing::open(std::move(message.ring));
  if (!ring) {
    log_warn("proxy", "flow ring: " + ring.error().message);
    return;
  }
  Worker* worker = workers_[static_cast<size_t>(message.worker)];
  worker->loop().post(
      [worker, r = std::move(*ring)]() mutable { worker->reporting().set_ring(std::move(r)); });
}

void Control::handle(mesh::MetricsRequest message) {
  auto facts = std::make_shared<std::vector<WorkerFacts>>(workers_.size());
  on_all([facts](size_t index, Worker& worker) { (*facts)[index] = facts_of(worker); },
         [this, facts, number = message.number] {
           auto content = mesh::to_memfd(metrics_text(*facts, workers_, certificates_, generation_),
                                         "proxy-metrics");
           if (content) send(mesh::MetricsAnswer{number, std::move(*content)});
         });
}

void Control::handle(mesh::StatusRequest message) {
  auto facts = std::make_shared<std::vector<WorkerFacts>>(workers_.size());
  on_all([facts](size_t index, Worker& worker) { (*facts)[index] = facts_of(worker); },
         [this, facts, number = message.number] {
           auto content = mesh::to_memfd(status_json(*facts, generation_), "proxy-status");
           if (content) send(mesh::StatusAnswer{number, std::move(*content)});
         });
}

}  // namespace sallyport::proxy
