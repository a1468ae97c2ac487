#include "capture/rules.h"

#include <sys/random.h>

#include <algorithm>
#include <cstdio>

#include "base/strings.h"
#include "capture/routing.h"
#include "net/nft.h"
#include "net/sysctl.h"

namespace sallyport::capture {
namespace {

constexpr char kTable[] = "inet sallyport_mesh";

std::string mark_text(uint32_t mark) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", mark);
  return text;
}

std::string set_of(const std::vector<std::string>& members) {
  return members.size() == 1 ? members.front() : "{ " + join(members, ", ") + " }";
}

std::string ports(const std::set<uint16_t>& all) {
  std::vector<std::string> members;
  for (uint16_t port : all) members.push_back(std::to_string(port));
  return set_of(members);
}

// The rules "MATCH of one of these STATEMENT", by family. Ranges are laminar: one lies within
// another or apart from it. Those within another say nothing, and nft refuses overlaps.
void match_ranges(std::string& out, const char* field, const std::vector<Cidr>& ranges,
                  const std::string& statement) {
  for (Family family : {Family::kV4, Family::kV6}) {
    const char* nfproto = family == Family::kV4 ? "ipv4" : "ipv6";
    std::vector<std::string> members;
    bool whole = false;
    std::set<Cidr> unique(ranges.begin(), ranges.end());
    for (const Cidr& range : unique) {
      if (range.family() != family) continue;
      whole = whole || range.bits == 0;
      bool within = std::ranges::any_of(unique, [&](const Cidr& other) {
        return other != range && other.family() == family && other.contains(range);
      });
      if (!within) members.push_back(range.to_string());
    }
    if (whole)
      out += std::string("    meta nfproto ") + nfproto + " " + statement + "\n";
    else if (!members.empty())
      out += std::string("    ") + (family == Family::kV4 ? "ip " : "ip6 ") + field + " " +
             set_of(members) + " " + statement + "\n";
  }
}

std::vector<Cidr> hosts(const std::vector<Ip>& ips) {
  std::vector<Cidr> out;
  for (const Ip& ip : ips) out.push_back({ip, ip.family() == Family::kV4 ? 32 : 128});
  return out;
}

void chain(std::string& out, const char* name, const char* hook, const std::string& rules) {
  out += std::string("  chain ") + name + " {\n    type " + hook + "; policy accept;\n" + rules +
         "  }\n";
}

}  // namespace

Result<Marks> draw_marks() {
  Marks marks;
  // One draw does in all but one case of billions.
  for (int i = 0; i < 100; ++i) {
    if (::getrandom(&marks, sizeof marks, 0) != sizeof marks) return fail_errno("getrandom");
    if (marks.outbound != 0 && marks.to_app != 0 && marks.outbound != marks.to_app) return marks;
  }
  return fail(Code::kInternal, "the kernel's random numbers are not random");
}

std::string ruleset(const Rules& rules) {
  const std::string outbound = "meta mark " + mark_text(rules.marks.outbound);
  const std::string to_app = "meta mark " + mark_text(rules.marks.to_app);
  const std::vector<Cidr> probes = hosts(rules.probe_sources);
  const std::string own_ports =
      ports({kOutboundPort, kInboundPort});  // as they were written by the initiator

  // Unknown tables cannot be deleted: it is made where it is missing, then replaced.
  std::string out =
      std::string("table ") + kTable + "\ndelete table " + kTable + "\ntable " + kTable + " {\n";
  chain(out, "untracked_out", "filter hook output priority raw", "    " + to_app + " notrack\n");
  chain(out, "untracked_in", "filter hook prerouting priority raw",
        "    iifname \"lo\" " + to_app + " notrack\n");

  std::string text = "    iifname \"lo\" accept\n    meta l4proto != tcp accept\n";
  match_ranges(text, "saddr", probes, "accept");
  if (!rules.exclude_inbound_ports.empty())
    text += "    tcp dport " + ports(rules.exclude_inbound_ports) + " accept\n";
  text += "    meta l4proto tcp redirect to :" + std::to_string(kInboundPort) + "\n";
  chain(out, "redirect_in", "nat hook prerouting priority dstnat", text);

  text = "    oifname \"lo\" accept\n    meta l4proto != tcp accept\n    " + outbound + " accept\n";
  std::string excluded;
  if (!rules.exclude_outbound_ports.empty())
    excluded += "    tcp dport " + ports(rules.exclude_outbound_ports) + " accept\n";
  match_ranges(excluded, "daddr", rules.exclude_outbound_ranges, "accept");
  text += excluded;
  text += "    meta l4proto tcp redirect to :" + std::to_string(kOutboundPort) + "\n";
  chain(out, "redirect_out", "nat hook output priority -100", text);

  // The guards come after translation. What connection tracking did not take has no direction and
  // no state, so that only `drop` is left for it.
  text =
      "    meta l4proto != tcp accept\n    meta l4proto tcp ct direction original ct original "
      "proto-dst " +
      own_ports +
      " reject with tcp reset\n    iifname \"lo\" accept\n    ct status dnat accept\n"
      "    ct direction reply accept\n";
  match_ranges(text, "saddr", probes, "accept");
  if (!rules.exclude_inbound_ports.empty())
    text += "    tcp dport " + ports(rules.exclude_inbound_ports) + " accept\n";
  chain(out, "guard_in", "filter hook input priority filter", text + "    drop\n");

  text = "    oifname \"lo\" accept\n    meta l4proto != tcp accept\n    " + outbound +
         " accept\n    ct status dnat accept\n    ct direction reply accept\n" + excluded +
         "    drop\n";
  chain(out, "guard_out", "filter hook output priority filter", text);
  return out + "}\n";
}

std::string deny_ruleset(const std::vector<Ip>& probe_sources) {
  const std::vector<Cidr> probes = hosts(probe_sources);
  std::string out =
      std::string("table ") + kTable + "\ndelete table " + kTable + "\ntable " + kTable + " {\n";
  for (bool in : {true, false}) {
    std::string text = std::string("    ") + (in ? "iifname" : "oifname") +
                       " \"lo\" accept\n    meta l4proto != tcp accept\n";
    match_ranges(text, in ? "saddr" : "daddr", probes, "accept");
    chain(out, in ? "guard_in" : "guard_out",
          in ? "filter hook input priority filter" : "filter hook output priority filter",
          // A reset towards the outside would have to pass the other chain.
          text + (in ? "" : "    meta l4proto tcp reject with tcp reset\n") + "    drop\n");
  }
  return out + "}\n";
}

Status deny(int netns, const std::vector<Ip>& probe_sources) {
  return net::apply_nft(netns, deny_ruleset(probe_sources));
}

Status apply(int netns, const Rules& rules) {
  SP_CHECK_OK(net::set_sysctls(netns, {{"ipv4/tcp_fwmark_accept", "1"},
                                       // So that a closed port's reset finds back to the proxy.
                                       {"ipv4/fwmark_reflect", "1"},
                                       {"ipv6/fwmark_reflect", "1"},
                                       // The leg to the application has one client address and
                                       // one port: its ephemeral ports must come back soon.
                                       {"ipv4/tcp_tw_reuse", "1"}}));
  SP_CHECK_OK(route_mark_to_self(netns, rules.marks.to_app));
  return net::apply_nft(netns, ruleset(rules));
}

Status remove(int netns) {
  SP_CHECK_OK(
      net::apply_nft(netns, std::string("table ") + kTable + "\ndelete table " + kTable + "\n"));
  return unroute_mark(netns);
}

}  // namespace sallyport::capture
