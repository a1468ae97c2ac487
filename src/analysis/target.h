// What stands on the command line of `explain`: pods, addresses, Services, with port and protocol.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "base/result.h"
#include "k8s/objects.h"

namespace sallyport::analysis {

struct Target {
  enum class Kind { kPod, kAddress, kService };
  Kind kind = Kind::kPod;
  std::string ns, name;                   // kPod, kService; the namespace is "default" where none
  Ip ip;                                  // kAddress
  std::optional<k8s::IntOrString> port;   // a number or the name of a port
  std::optional<k8s::Protocol> protocol;  // where written: "53/UDP", "/ICMP"
};

// POD, NS/POD, svc/NAME, svc/NS/NAME, 192.0.2.1, 2001:db8::1, [2001:db8::1]; then, only where
// `with_port`, :PORT with a number or a name; then /TCP, /UDP, /SCTP or /ICMP (upper case).
// kInvalid says which form was expected.
Result<Target> parse_target(std::string_view text, bool with_port);

}  // namespace sallyport::analysis
