#include "standalone/operations.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "analysis/explain_batch.h"
#include "analysis/explain_point.h"
#include "base/strings.h"
#include "codec/json.h"
#include "net/netns.h"
#include "standalone/node.h"
#include "standalone/views.h"
#include "world/service_endpoints.h"

namespace sallyport::standalone {
namespace {

using admin::Session;
using codec::Value;
using SessionPtr = std::shared_ptr<Session>;

constexpr int kConnectMillis = 5000;
constexpr size_t kPortion = 200;  // records that are sent together
constexpr char kBusy[] = "the node waits for too many commands already; end some of them first";

// The pod, or an error that names what there is.
Result<const PodRecord*> find_pod(const Node& node, const Value& request) {
  std::string key = request["namespace"].as_string() + "/" + request["pod"].as_string();
  if (const PodRecord* record = node.pods().find(key)) return record;
  return fail(Code::kNotFound, "there is no pod " + key + "; `sallyport get pods -A` lists them");
}

Result<std::string> find_container(const PodRecord& record, const Value& request) {
  const std::string& wanted = request["container"].as_string();
  std::vector<std::string> names;
  for (const k8s::Container& container : record.pod->spec.containers)
    names.push_back(container.name);
  if (wanted.empty() && !names.empty()) return names.front();
  for (const k8s::Container& container : record.pod->spec.init_containers)
    names.push_back(container.name);
  if (std::ranges::find(names, wanted) != names.end()) return wanted;
  return fail(Code::kNotFound, "pod " + record.key() + " has no container \"" + wanted +
                                   "\"; it has " + join(names, ", "));
}

void get(Node& node, const SessionPtr& session, const Value& request) {
  if (request["resource"].as_string() == "identities") {
    session->send(node.identities());
    return session->finish(0);
  }
  auto list = list_resource(request["resource"].as_string(), request["namespace"].as_string(),
                            node.objects(), node.pods(), *node.world(), node.network().ranges());
  if (!list) return session->fail(list.error().message);
  session->send(*list);
  session->finish(0);
}

// All at once might be more than may wait for one client.
void send_in_portions(const SessionPtr& session, std::vector<FlowLog::RecordPtr> records) {
  struct Rest {
    std::vector<FlowLog::RecordPtr> records;
    size_t next = 0;
  };
  auto rest = std::make_shared<Rest>(Rest{std::move(records), 0});
  auto portion = [session, rest] {
    for (size_t i = 0; i < kPortion && rest->next < rest->records.size(); ++i)
      session->send(*rest->records[rest->next++]);
    if (rest->next == rest->records.size()) session->finish(0);
  };
  portion();
  if (!session->closed()) session->on_drain(portion);
}

void flows(Node& node, const SessionPtr& session, const Value& request) {
  FlowFilter filter;
  filter.from = request["from"].as_string();
  filter.to = request["to"].as_string();
  filter.verdict = request["verdict"].as_string();
  if (int64_t seconds = request["sinceSeconds"].as_int(); seconds > 0)
    filter.since = node.clock().wall() - std::chrono::seconds(seconds);
  bool follow = request["follow"].as_bool();
  int64_t last = request.find("last") ? request["last"].as_int() : (follow ? 0 : 1'000'000);
  auto records = node.flows().last(filter, static_cast<size_t>(std::max<int64_t>(0, last)));
  if (!follow) return send_in_portions(session, std::move(records));
  for (const FlowLog::RecordPtr& record : records) session->offer(*record);
  // Who has gone already is never told of again.
  if (session->closed()) return;
  uint64_t id = node.flows().follow([session, filter](const Value& record, WallTime time) {
    if (filter.matches(record, time)) session->offer(record);
  });
  FlowLog* log = &node.flows();
  session->on_close([log, id] { log->unfollow(id); });
}

void logs(Node& node, const SessionPtr& session, const Value& request) {
  auto record = find_pod(node, request);
  if (!record) return session->fail(record.error().message);
  auto container = find_container(**record, request);
  if (!container) return session->fail(container.error().message);
  std::string path = node.runtime().log_path((*record)->pod->meta.uid, *container);
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd)
    return session->fail("container " + *container + " of pod " + (*record)->key() +
                         " has no log yet");
  Value answer = Value::map();
  answer.set("container", *container);
  std::vector<Fd> fds;
  fds.push_back(std::move(fd));
  session->send_with_fds(answer, std::move(fds));
  session->finish(0);
}

void exec(Node& node, const SessionPtr& session, const Value& request) {
  auto record = find_pod(node, request);
  if (!record) return session->fail(record.error().message);
  auto container = find_container(**record, request);
  if (!container) return session->fail(container.error().message);
  std::vector<std::string> command;
  for (const Value& word : request["command"].items()) command.push_back(word.as_string());
  auto fds = std::make_shared<std::vector<Fd>>(session->take_fds());
  if (command.empty() || fds->size() != 3)
    return session->fail("exec needs a command and three descriptors");
  if (node.stopping()) return session->fail("the node is ending");
  std::string uid = (*record)->pod->meta.uid;
  // A client that goes away takes its command with it.
  auto gone = std::make_shared<Fd>(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!*gone) return session->fail(fail_errno("eventfd").error().message);
  auto work = [&node, session, uid, container = *container, command, fds, gone]() mutable {
    auto code = node.runtime().exec(uid, container, command, (*fds)[0].get(), (*fds)[1].get(),
                                    (*fds)[2].get(), gone->get());
    fds->clear();
    // The session belongs to the loop's thread: the last reference must go there too.
    node.mailbox().post([session = std::move(session), code] {
      if (code)
        session->finish(*code);
      else
        session->fail(code.error().message);
    });
  };
  if (!node.mailbox().spawn(std::move(work))) return session->fail(kBusy);
  session->on_close([gone] {
    uint64_t one = 1;
    [[maybe_unused]] ssize_t n = ::write(gone->get(), &one, sizeof one);
  });
}

// `source4`: from where the node probes, which a pod's interception leaves alone; so a forwarded
// port leads to the application whatever the mesh demands of others.
Result<Fd> dial(int netns, const Ip& source4, const Ip& ip, uint16_t port) {
  bool v4 = ip.family() == Family::kV4;
  sockaddr_in a4{};
  sockaddr_in6 a6{};
  a4.sin_family = AF_INET;
  a4.sin_port = htons(port);
  a4.sin_addr.s_addr = v4 ? htonl(ip.v4_host_order()) : 0;
  a6.sin6_family = AF_INET6;
  a6.sin6_port = htons(port);
  std::copy(ip.bytes.begin(), ip.bytes.end(), a6.sin6_addr.s6_addr);
  SP_TRY(Fd fd, net::socket_in(netns, v4 ? AF_INET : AF_INET6,
                               SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (v4) {
    sockaddr_in source{};
    source.sin_family = AF_INET;
    source.sin_addr.s_addr = htonl(source4.v4_host_order());
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&source), sizeof source) != 0)
      return fail_errno("bind " + source4.to_string());
  }
  const sockaddr* address =
      v4 ? reinterpret_cast<sockaddr*>(&a4) : reinterpret_cast<sockaddr*>(&a6);
  std::string where = ip.to_string() + " port " + std::to_string(port);
  if (::connect(fd.get(), address, v4 ? sizeof a4 : sizeof a6) != 0 && errno != EINPROGRESS)
    return fail_errno("connect to " + where);
  pollfd wait{fd.get(), POLLOUT, 0};
  if (::poll(&wait, 1, kConnectMillis) <= 0)
    return fail(Code::kUnavailable, "connect to " + where + ": no answer");
  int err = 0;
  socklen_t size = sizeof err;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &err, &size);
  if (err != 0) return fail_errno("connect to " + where, err);
  return fd;
}

// Pod and container port behind what the user named.
Result<std::pair<Ip, uint16_t>> forward_target(const Node& node, const Value& request) {
  int port = static_cast<int>(request["port"].as_int());
  const std::string& service_name = request["service"].as_string();
  if (service_name.empty()) {
    SP_TRY(const PodRecord* record, find_pod(node, request));
    return std::pair(record->addresses.v4, static_cast<uint16_t>(port));
  }
  const std::string& ns = request["namespace"].as_string();
  for (const auto& service : node.world()->services) {
    if (service->meta.ns != ns || service->meta.name != service_name) continue;
    for (const k8s::ServicePort& p : service->ports) {
      if (p.port != port || p.protocol != k8s::Protocol::kTcp) continue;
      auto endpoints = world::service_endpoints(*node.world(), *service, p, Family::kV4);
      if (!endpoints.empty()) return std::pair(endpoints.front().ip, endpoints.front().port);
      return fail(Code::kUnavailable, "Service " + ns + "/" + service_name +
                                          " has no ready endpoint for port " +
                                          std::to_string(port));
    }
    return fail(Code::kNotFound,
                "Service " + ns + "/" + service_name + " has no TCP port " + std::to_string(port));
  }
  return fail(Code::kNotFound, "there is no Service " + ns + "/" + service_name);
}

void port_forward(Node& node, const SessionPtr& session, const Value& request) {
  auto target = forward_target(node, request);
  if (!target) return session->fail(target.error().message);
  int netns = node.network().node_netns();
  bool spawned = node.mailbox().spawn(
      [&node, session, netns, target = *target, source = node.network().ranges().probe4]() mutable {
        auto fd = std::make_shared<Result<Fd>>(dial(netns, source, target.first, target.second));
        node.mailbox().post([session = std::move(session), fd] {
          if (!*fd) return session->fail(fd->error().message);
          std::vector<Fd> fds;
          fds.push_back(std::move(**fd));
          session->send_with_fds(Value::map(), std::move(fds));
          session->finish(0);
        });
      });
  if (!spawned) session->fail(kBusy);
}

void explain(Node& node, const SessionPtr& session, const Value& request) {
  // Who is in the mesh is what runs: pods that did not ask for it are out.
  auto question = analysis::decode_mesh_query(request["mesh"]);
  if (!question) return session->fail(question.error().message);
  analysis::PointMesh mesh{std::move(*question), mesh::UnlabelledPods::kOut};
  auto answer = analysis::explain_point(*node.world(), request["from"].as_string(),
                                        request["to"].as_string(), {}, mesh);
  if (!answer) return session->fail(answer.error().message);
  Value out = Value::map();
  out.set("text", answer->text);
  session->send(out);
  session->finish(answer->allow ? 0 : 1);
}

void explain_batch(Node& node, const SessionPtr& session, const Value& request) {
  bool all = true;
  for (const Value& line : request["lines"].items()) {
    bool ok = true;
    Value out = Value::map();
    out.set("line", analysis::explain_batch_line(*node.world(), line.as_string(), ok));
    session->send(out);
    all = all && ok;
  }
  session->finish(all ? 0 : 2);
}

}  // namespace

void register_operations(admin::Server& server, Node& node) {
  server.handle("get", [&node](SessionPtr s, const Value& r) { get(node, s, r); });
  server.handle("flows", [&node](SessionPtr s, const Value& r) { flows(node, s, r); });
  server.handle("logs", [&node](SessionPtr s, const Value& r) { logs(node, s, r); });
  server.handle("exec", [&node](SessionPtr s, const Value& r) { exec(node, s, r); });
  server.handle("port-forward",
                [&node](SessionPtr s, const Value& r) { port_forward(node, s, r); });
  server.handle("explain", [&node](SessionPtr s, const Value& r) { explain(node, s, r); });
  server.handle("explain-batch",
                [&node](SessionPtr s, const Value& r) { explain_batch(node, s, r); });
  server.handle("status", [&node](SessionPtr s, const Value&) {
    s->send(node.status());
    s->finish(0);
  });
  server.handle("metrics", [&node](SessionPtr s, const Value&) {
    Value out = Value::map();
    out.set("text", node.metrics_text());
    s->send(out);
    s->finish(0);
  });
  server.handle("shutdown", [&node](SessionPtr s, const Value&) {
    node.request_shutdown();
    s->finish(0);
  });
}

}  // namespace sallyport::standalone
