#include "mesh/client_address.h"

#include <string_view>

#include "base/strings.h"

namespace sallyport::mesh {

Ip client_address(std::span<const authz::HeaderField> headers, const Ip& peer,
                  int trusted_proxies) {
  if (trusted_proxies <= 0) return peer;
  int left = trusted_proxies;
  for (size_t i = headers.size(); i-- > 0;) {
    if (headers[i].name != "x-forwarded-for") continue;
    std::string_view list = headers[i].value;
    while (true) {
      size_t comma = list.rfind(',');
      std::string_view entry =
          trim(comma == std::string_view::npos ? list : list.substr(comma + 1));
      if (--left == 0) {
        auto ip = Ip::parse(entry);
        return ip ? *ip : peer;
      }
      if (comma == std::string_view::npos) break;
      list = list.substr(0, comma);
    }
  }
  return peer;
}

}  // namespace sallyport::mesh
