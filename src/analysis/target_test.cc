#include "analysis/target.h"

#include <gtest/gtest.h>

namespace sallyport::analysis {
namespace {

std::string show_port(const k8s::IntOrString& port) {
  return port.is_name() ? port.name : std::to_string(port.number);
}

// Back into one line, for comparison.
std::string show(const Result<Target>& target) {
  if (!target) return "error: " + target.error().message;
  std::string out;
  switch (target->kind) {
    case Target::Kind::kPod:
      out = "pod " + target->ns + " " + target->name;
      break;
    case Target::Kind::kService:
      out = "svc " + target->ns + " " + target->name;
      break;
    case Target::Kind::kAddress:
      out = "ip " + target->ip.to_string();
      break;
  }
  if (target->port) out += " port " + show_port(*target->port);
  if (target->protocol) out += " " + std::string(k8s::to_string(*target->protocol));
  return out;
}

TEST(Target, Forms) {
  const std::pair<const char*, const char*> cases[] = {
      {"web", "pod default web"},
      {"ns/web", "pod ns web"},
      {"ns/web:80", "pod ns web port 80"},
      {"ns/web:http", "pod ns web port http"},
      {"ns/web:53/UDP", "pod ns web port 53 UDP"},
      {"ns/web/ICMP", "pod ns web ICMP"},
      {"web/ICMP", "pod default web ICMP"},
      {"ns/icmp", "pod ns icmp"},
      {"svc/web", "svc default web"},
      {"svc/ns/web:80", "svc ns web port 80"},
      {"service/ns/web:dns/UDP", "svc ns web port dns UDP"},
      {"192.0.2.1", "ip 192.0.2.1"},
      {"192.0.2.1:443", "ip 192.0.2.1 port 443"},
      {"192.0.2.1:443/SCTP", "ip 192.0.2.1 port 443 SCTP"},
      {"2001:db8::1", "ip 2001:db8::1"},
      {"[2001:db8::1]:443", "ip 2001:db8::1 port 443"},
      {"[2001:db8::1]:53/UDP", "ip 2001:db8::1 port 53 UDP"},
      {"2001:db8::1/ICMP", "ip 2001:db8::1 ICMP"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(show(parse_target(text, true)), expected);
}

TEST(Target, Errors) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "error: \"\": expected POD, NAMESPACE/POD, svc/NAME, svc/NAMESPACE/NAME or an address"},
      {"a/b/c",
       "error: \"a/b/c\": expected POD, NAMESPACE/POD, svc/NAME, svc/NAMESPACE/NAME or an "
       "address"},
      {"svc/",
       "error: \"svc/\": expected POD, NAMESPACE/POD, svc/NAME, svc/NAMESPACE/NAME or an "
       "address"},
      {"web:", "error: \"web:\": a port is missing after the colon"},
      {"web:0", "error: \"web:0\": port is not in 1..65535"},
      {"web:65536", "error: \"web:65536\": port is not in 1..65535"},
      {"web:a_b", "error: \"web:a_b\": \"a_b\" is neither a port number nor a name"},
      {"web:80/ICMP", "error: \"web:80/ICMP\": ICMP has no ports"},
      {"[fd00::1", "error: \"[fd00::1\": ] is missing"},
      {"[fd00::1]80", "error: \"[fd00::1]80\": expected :PORT after ]"},
      {"[192.0.2.1]:80", "error: \"[192.0.2.1]:80\": brackets are for IPv6"},
      {"fd00::1:zz",
       "error: \"fd00::1:zz\": not an IPv6 address; with a port it is written [ADDRESS]:PORT"},
      {"::", "error: \"::\": is the unspecified address"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(show(parse_target(text, true)), expected);
}

TEST(Target, ASourceHasNoPort) {
  EXPECT_EQ(show(parse_target("ns/web", false)), "pod ns web");
  EXPECT_EQ(show(parse_target("fd00::1", false)), "ip fd00::1");
  EXPECT_EQ(show(parse_target("ns/web:80", false)),
            "error: \"ns/web:80\": the source has no port or protocol");
  EXPECT_EQ(show(parse_target("ns/web/TCP", false)),
            "error: \"ns/web/TCP\": the source has no port or protocol");
}

}  // namespace
}  // namespace sallyport::analysis
