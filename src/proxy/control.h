// The proxy's end of the control channel, on a thread of its own: configurations are decoded and
// compiled here, off the data path, and handed to the workers whole.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "mesh/channel.h"
#include "proxy/worker.h"

namespace sallyport::proxy {

// What workers ask for, from their threads.
class ControlMailbox {
 public:
  struct SocketRequest {
    size_t worker = 0;
    std::string uid;
    mesh::SocketKind kind = mesh::SocketKind::kOutbound;
    Family family = Family::kV4;
    int count = 0;
  };
  static Result<std::unique_ptr<ControlMailbox>> create();
  void ask(SocketRequest request);
  void call(std::move_only_function<void()> task);  // run on the control thread
  [[nodiscard]] int fd() const { return wake_.get(); }
  struct Content {
    std::vector<SocketRequest> requests;
    std::vector<std::move_only_function<void()>> tasks;
  };
  Content take();

 private:
  void wake();
  Fd wake_;
  std::mutex mutex_;
  Content content_;
};

class Control {
 public:
  // `attach`: a listening socket on which another node may take over when the first is gone; an
  // empty one: the process ends with its channel.
  Control(mesh::Channel channel, ControlMailbox& mailbox, std::vector<Worker*> workers,
          Fd attach = {});

  // Until the node closes the channel (success), or it breaks. With `attach` a channel that ends is
  // waited for again: what is served goes on meanwhile, as the last configuration says.
  Status run();

 private:
  Status turn();
  Status wait_for_node();
  void take_requests();
  Status receive();
  void handle(mesh::ConfigMessage message);
  void handle(mesh::PodMessage message);
  void handle(mesh::PodGoneMessage message);
  void handle(mesh::SocketsMessage message);
  void handle(mesh::SvidMessage message);
  void handle(mesh::MetricsRequest message);
  void handle(mesh::StatusRequest message);
  void handle(mesh::AccessLogMessage message);
  void handle(mesh::FlowRingMessage message);
  void send(mesh::ToNode message);
  void flush();
  // Runs `task` on every worker, then `then` here.
  void on_all(const std::function<void(size_t index, Worker& worker)>& task,
              std::move_only_function<void()> then);

  struct Key {
    std::string uid;
    mesh::SocketKind kind;
    Family family;
    auto operator<=>(const Key&) const = default;
  };
  struct Asked {
    size_t worker = 0;
    int count = 0;
  };

  mesh::Channel channel_;
  Fd attach_;
  // With `attach`: the listeners of what is served, for the next node.
  std::map<std::string, std::array<Fd, 4>> listeners_;
  ControlMailbox& mailbox_;
  std::vector<Worker*> workers_;
  uint64_t generation_ = 0;
  std::map<Key, std::deque<Asked>> asked_;
  std::deque<mesh::ToNode> outbox_;
  std::map<std::string, int64_t> certificates_;  // SPIFFE ID to the end of validity, seconds
};

}  // namespace sallyport::proxy
