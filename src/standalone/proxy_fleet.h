// The proxy processes of a node, on a thread of their own: started, supervised, told what they
// need, and given sockets the moment they ask, whatever the node's loop is busy with. All methods
// may be called from the node's thread; what they return are copies.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "identity/authority.h"
#include "standalone/certificates.h"
#include "standalone/proxy_link.h"
#include "standalone/state.h"
#include "telemetry/flow_ring.h"

namespace sallyport::standalone {

// All that is wanted, as a whole.
struct FleetState {
  std::map<std::string, FleetGroup> groups;
  std::set<identity::SpiffeId> identities;
  std::shared_ptr<identity::Authority> authority;  // null only without groups
  std::shared_ptr<const Fd> access_log;            // null: none
};

struct ProxyView {
  std::string group;
  pid_t pid = 0;  // 0: does not run
  uint64_t start_time = 0;
  uint64_t wanted = 0, in_force = 0;  // generations
  uint64_t restarts = 0;
  std::string problem;  // empty: none
};

class ProxyFleet {
 public:
  struct Options {
    ProxyOptions proxy;
    std::chrono::seconds svid_ttl = std::chrono::hours(24);
  };
  // A process that an earlier node left running.
  struct Survivor {
    std::string group;
    ProcessState process;
  };
  static Result<std::unique_ptr<ProxyFleet>> start(Options options, const Clock& clock);
  // To be called before the first set(): what survives goes on, and tells what it serves. The
  // others are ended.
  ProxyLink::Adopted adopt(const std::vector<Survivor>& survivors);
  ~ProxyFleet();  // ends all processes

  void set(FleetState state);
  // Waits until every group has its generation in force; what keeps the others from it, by group.
  // A process that does not run or refuses is not waited for.
  std::map<std::string, std::string> wait_ready(std::chrono::milliseconds timeout);

  // By group; processes that do not answer in time are left out.
  std::map<std::string, std::string> metrics(std::chrono::milliseconds timeout);
  std::map<std::string, std::string> status(std::chrono::milliseconds timeout);

  // At most `most` records, from one thread.
  size_t drain_flows(size_t most, const std::function<void(const telemetry::FlowRecord&)>& sink);
  [[nodiscard]] uint64_t flows_lost();

  [[nodiscard]] std::vector<ProxyView> proxies();
  [[nodiscard]] std::vector<CertificateView> certificates();
  struct Counts {
    uint64_t restarts = 0, issued = 0, issue_failures = 0;
  };
  [[nodiscard]] Counts counts();

 private:
  struct Need {
    std::string group;
    mesh::NeedSockets wanted;
    Monotonic due;
  };
  struct Question {
    bool metrics = false;
    bool asked = false;
    std::map<std::string, uint64_t> waiting;  // group to number
    std::map<std::string, std::string> answers;
  };
  struct RingEntry {
    std::shared_ptr<telemetry::FlowRing> ring;
    bool gone = false;  // nobody writes any more
  };

  ProxyFleet(Options options, const Clock& clock, Fd wake);
  void wake_up();
  std::map<std::string, std::string> ask(bool metrics, std::chrono::milliseconds timeout);

  // --- on the thread ---
  void run();
  bool turn();  // false: all has ended
  void take_state();
  void tell(ProxyLink& link, const FleetGroup& group);
  void tell_more(ProxyLink& link);
  void tell_certificates(ProxyLink& link, const FleetGroup& group);
  void start_due();
  void end_unwanted();
  void serve(ProxyLink& link);
  void on(ProxyLink& link, mesh::ToNode message);
  bool give_sockets(ProxyLink& link, const mesh::NeedSockets& wanted);
  void retry_needs();
  void gone(ProxyLink& link);
  void ask_due();
  void publish();
  [[nodiscard]] int poll_millis() const;

  const Options options_;
  const Clock& clock_;
  Fd wake_;

  std::mutex mutex_;
  std::condition_variable changed_;
  // With mutex_ held:
  std::shared_ptr<const FleetState> next_;
  std::map<std::string, std::unique_ptr<ProxyLink>> adopted_;
  bool stopping_ = false;
  std::vector<std::shared_ptr<Question>> questions_;
  std::vector<RingEntry> rings_;
  uint64_t lost_ = 0;  // of rings that are gone
  std::vector<ProxyView> views_;
  std::vector<CertificateView> certificate_views_;
  Counts counts_;

  // The thread's own:
  std::shared_ptr<const FleetState> state_ = std::make_shared<FleetState>();
  std::map<std::string, std::unique_ptr<ProxyLink>> links_;
  std::vector<std::unique_ptr<ProxyLink>> ending_;
  std::unique_ptr<Certificates> certificates_;
  std::vector<Need> needs_;
  uint64_t next_number_ = 1;
  uint64_t past_restarts_ = 0;
  std::thread thread_;
};

}  // namespace sallyport::standalone
