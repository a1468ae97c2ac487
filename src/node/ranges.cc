#include "node/ranges.h"

namespace sallyport::node {
namespace {

// All texts here are constants that parse.
Cidr cidr(const char* text) {
  return Cidr::parse(text, true).value();
}
Ip ip(const char* text) {
  return Ip::parse(text).value();
}

}  // namespace

Ranges default_ranges() {
  return {.pods4 = cidr("198.18.0.0/16"),
          .pods6 = cidr("fd00:5a11::/64"),
          .services4 = cidr("198.19.0.0/17"),
          .services6 = cidr("fd00:5a11:0:1::/112"),
          .outside4 = cidr("198.19.128.0/17"),
          .outside6 = cidr("fd00:5a11:0:2::/64"),
          .node4 = ip("198.19.255.1"),
          .node6 = ip("fd00:5a11:0:3::1"),
          .probe4 = probe_source4(),
          .probe6 = probe_source6()};
}

Ip pod_gateway4() {
  return ip("169.254.1.1");
}
Ip pod_gateway6() {
  return ip("fe80::1");
}
Ip probe_source4() {
  return ip("169.254.7.1");
}
Ip probe_source6() {
  return ip("fe80::5a11:7");
}
Ip outside_router4() {
  return ip("198.19.255.2");
}
Ip outside_router6() {
  return ip("fe80::2");
}

}  // namespace sallyport::node
