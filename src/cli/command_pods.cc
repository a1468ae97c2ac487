// exec, logs, port-forward: what one does with a single pod.
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <iostream>
#include <thread>

#include "base/strings.h"
#include "cli/command.h"

namespace sallyport::cli {
namespace {

using codec::Value;

Value pod_request(const std::string& op, const PodName& pod, const Args& args) {
  Value request = Value::map();
  request.set("op", op);
  request.set("namespace", pod.ns);
  request.set("pod", pod.name);
  request.set("container", args.get("--container"));
  return request;
}

int exec(const Args& args) {
  if (args.rest().empty()) return print_error("what to run comes after `--`");
  Value request = pod_request("exec", parse_pod_name(args.words()[0], args), args);
  Value& command = request.set("command", Value::list());
  for (const std::string& word : args.rest()) command.push(Value::string(word));
  auto client = connect_node(args);
  if (!client) return print_error(client.error());
  if (auto sent = client->request(request, {0, 1, 2}); !sent) return print_error(sent.error());
  while (true) {
    auto record = client->next();
    if (!record) return print_error(record.error());
    if (!*record) return client->exit_code();
  }
}

// "TIME stdout F text": the time and stream go unless asked for.
std::string_view log_text(std::string_view line) {
  for (int i = 0; i < 3; ++i) {
    size_t space = line.find(' ');
    if (space == std::string_view::npos) return line;
    line.remove_prefix(space + 1);
  }
  return line;
}

Result<Fd> open_log(const Args& args) {
  Value request = pod_request("logs", parse_pod_name(args.words()[0], args), args);
  SP_TRY(admin::Client client, connect_node(args));
  SP_CHECK_OK(client.request(request));
  while (true) {
    SP_TRY(std::optional<Value> record, client.next());
    if (!record) break;
  }
  std::vector<Fd> fds = client.take_fds();
  if (fds.empty()) return fail(Code::kUnavailable, "the node sent no log");
  return std::move(fds[0]);
}

bool same_file(const Fd& a, const Fd& b) {
  struct stat x{}, y{};
  return ::fstat(a.get(), &x) == 0 && ::fstat(b.get(), &y) == 0 && x.st_dev == y.st_dev &&
         x.st_ino == y.st_ino;
}

bool is_gone(const Fd& file) {
  struct stat st{};
  return ::fstat(file.get(), &st) == 0 && st.st_nlink == 0;
}

int logs(const Args& args) {
  auto log = open_log(args);
  if (!log) return print_error(log.error());
  bool times = args.has("--timestamps");
  std::string line;
  std::vector<char> buffer(65536);
  Fd next;  // the file after the one that is read; its turn comes at the end of that
  for (int idle = 0;;) {
    ssize_t n = ::read(log->get(), buffer.data(), buffer.size());
    if (n < 0 && errno != EINTR) return print_error(std::string("log: ") + ::strerror(errno));
    if (n > 0) {
      idle = 0;
      for (ssize_t i = 0; i < n; ++i) {
        char c = buffer[static_cast<size_t>(i)];
        if (c != '\n') {
          line += c;
          continue;
        }
        std::cout << (times ? std::string_view(line) : log_text(line)) << '\n';
        line.clear();
      }
      continue;
    }
    if (!args.has("--follow")) return kOk;
    if (next) {
      *log = std::move(next);
      continue;
    }
    std::cout.flush();
    // The file grows without telling: look again soon. Ends with the reader of our output.
    pollfd out{STDOUT_FILENO, 0, 0};
    if (::poll(&out, 1, 100) > 0 && (out.revents & (POLLERR | POLLHUP))) return kOk;
    // It may have become too large, and another have taken its place; or the pod is gone. While no
    // node is there to ask, the pod goes on writing.
    if (++idle % 10 != 0) continue;
    bool gone = is_gone(*log);
    auto now = open_log(args);
    if (now && !same_file(*now, *log)) next = std::move(*now);
    if (!now && gone) return kOk;
  }
}

void splice_both(Fd a, Fd b) {
  // Half-close is passed on; the connection ends when both sides have.
  bool open[2] = {true, true};
  int fds[2] = {a.get(), b.get()};
  char buffer[65536];
  while (open[0] || open[1]) {
    pollfd polls[2] = {{open[0] ? fds[0] : -1, POLLIN, 0}, {open[1] ? fds[1] : -1, POLLIN, 0}};
    if (::poll(polls, 2, -1) < 0 && errno != EINTR) return;
    for (int i = 0; i < 2; ++i) {
      if (!polls[i].revents) continue;
      ssize_t n = ::recv(fds[i], buffer, sizeof buffer, 0);
      if (n < 0) return;
      if (n == 0) {
        open[i] = false;
        ::shutdown(fds[1 - i], SHUT_WR);
        continue;
      }
      for (ssize_t sent = 0; sent < n;) {
        ssize_t m = ::send(fds[1 - i], buffer + sent, static_cast<size_t>(n - sent), MSG_NOSIGNAL);
        if (m <= 0) return;
        sent += m;
      }
    }
  }
}

Result<Fd> forwarded(const Args& args, const Value& request) {
  SP_TRY(admin::Client client, connect_node(args));
  SP_CHECK_OK(client.request(request));
  while (true) {
    SP_TRY(std::optional<Value> record, client.next());
    if (!record) break;
  }
  std::vector<Fd> fds = client.take_fds();
  if (fds.empty()) return fail(Code::kUnavailable, "the node sent no connection");
  // The node connects without blocking; here a blocking one is wanted.
  ::fcntl(fds[0].get(), F_SETFL, 0);
  return std::move(fds[0]);
}

int port_forward(const Args& args) {
  std::vector<std::string> ports = split(args.words()[1], ':');
  auto local = parse_number<uint16_t>(ports.front());
  auto remote = parse_number<uint16_t>(ports.back());
  if (ports.size() > 2 || !local || !remote || *remote == 0)
    return print_error("expected LOCAL:REMOTE, two ports (LOCAL 0: any free one)");
  std::string target = args.words()[0];
  Value request;
  if (target.starts_with("svc/")) {
    PodName service = parse_pod_name(target.substr(4), args);
    request = pod_request("port-forward", {service.ns, ""}, args);
    request.set("service", service.name);
  } else {
    request = pod_request("port-forward", parse_pod_name(target, args), args);
  }
  request.set("port", Value::integer(*remote));

  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(*local);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  int on = 1;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listener.get(), 64) != 0)
    return print_error("listen on 127.0.0.1:" + ports.front() + ": " + ::strerror(errno));
  ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
  std::cout << "forwarding 127.0.0.1:" << ntohs(address.sin_port) << " to " << target << " port "
            << *remote << "\n"
            << std::flush;
  while (true) {
    Fd accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!accepted) {
      ::usleep(100'000);  // too many connections: until some have ended
      continue;
    }
    auto peer = forwarded(args, request);
    if (!peer) {
      print_error(peer.error());
      continue;
    }
    std::thread(splice_both, std::move(accepted), std::move(*peer)).detach();
  }
}

OptionSpec container_option() {
  return {"--container", 'c', "NAME", "which container (the first)"};
}
OptionSpec namespace_option() {
  return {"--namespace", 'n', "NS", "of a pod given without one (default: default)"};
}

}  // namespace

Command exec_command() {
  CommandSpec spec;
  spec.name = "exec";
  spec.usage = "exec NS/POD [-c CONTAINER] -- COMMAND [ARGUMENT]...";
  spec.summary = "run a command in a container";
  spec.details =
      "Exits with the command's status, 128 + N where signal N has ended it, or 2 where it could "
      "not\n"
      "be run. The command is killed when this one is.";
  spec.examples = {
      "sallyport exec attacker/attacker-0 -- curl -m 3 http://model-server.inference:8080/"};
  spec.options = {name_option(), container_option(), namespace_option()};
  spec.min_args = spec.max_args = 1;
  return {spec, exec};
}

Command logs_command() {
  CommandSpec spec;
  spec.name = "logs";
  spec.usage = "logs [-f] NS/POD [-c CONTAINER]";
  spec.summary = "print what a container has written";
  spec.details = "With -f until the pod is gone, or this command is ended.";
  spec.examples = {"sallyport logs -f inference/model-server-0"};
  spec.options = {name_option(),
                  container_option(),
                  namespace_option(),
                  {"--follow", 'f', "", "go on as it grows"},
                  {"--timestamps", 0, "", "with time and stream"}};
  spec.min_args = spec.max_args = 1;
  return {spec, logs};
}

Command port_forward_command() {
  CommandSpec spec;
  spec.name = "port-forward";
  spec.usage = "port-forward NS/POD|svc/NS/NAME [LOCAL:]REMOTE";
  spec.summary = "reach a pod's port from 127.0.0.1 of this host";
  spec.details =
      "The node itself connects to the pod, as a kubelet would: gate 1 does not judge it.";
  spec.examples = {"sallyport port-forward svc/api-gateway/gateway 8080:80",
                   "sallyport port-forward inference/model-server-0 8080"};
  spec.options = {name_option(), namespace_option()};
  spec.min_args = spec.max_args = 2;
  return {spec, port_forward};
}

}  // namespace sallyport::cli
