// For kernel tests: a node in a namespace of its own with pods behind veths and an outside, as the
// standalone node wires them, and a bpffs in a mount namespace that dies with the process.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ip.h"
#include "base/result.h"
#include "gate/gate.h"
#include "net/netlink.h"

namespace sallyport::gate {

class Lab {
 public:
  struct Pod {
    Fd netns;
    int ifindex = 0;  // the node's side
    uint32_t id = 0;
    Ip v4, v6;
  };

  // Throws std::runtime_error where the kernel refuses: a test cannot go on then.
  explicit Lab(size_t pods);
  ~Lab();
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;

  [[nodiscard]] GateConfig config() const;
  [[nodiscard]] std::vector<EndpointPort> ports() const;

  std::string pin_dir;
  Fd node;
  std::vector<Pod> pods;  // ids 1, 2, ...
  Pod outside;            // ifindex: the node's side of its veth
  Ip node4, node6;
  static constexpr uint16_t kNodePort = 9090;

 private:
  Pod wire(size_t index, const Ip& v4, const Ip& v6, const std::string& name);
  std::string dir_;
};

// What became of one probe: a datagram or SYN there, an answer back.
struct Probe {
  bool arrived = false;
  bool answered = false;
};

// A bound socket that stays, so that a probe's connection can be used further.
class Udp {
 public:
  Udp(int netns, const Ip& address, uint16_t port);
  void send(const Ip& to, uint16_t port, std::string_view text);
  // The text of a datagram that comes within the time, and who sent it.
  std::optional<std::string> receive(int timeout_ms, uint16_t* from_port = nullptr,
                                     Ip* from = nullptr);
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  Fd fd_;
};

Probe probe_udp(int from_netns, const Ip& from, int to_netns, const Ip& to, uint16_t port,
                int timeout_ms = 200);
// Connects to a listener that the probe makes.
bool probe_tcp(int from_netns, const Ip& from, int to_netns, const Ip& to, uint16_t port,
               int timeout_ms = 300);

// Sends raw IP packets: the header is ours, so is what it claims.
void send_raw(int netns, const Ip& destination, const std::vector<uint8_t>& packet,
              const std::string& interface);

}  // namespace sallyport::gate
