// Users as /etc/passwd of a container names them (no NSS: it would need the host's services).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sallyport::runtime {

struct UserEntry {
  int64_t gid = 0;
  std::string home = "/";
};

// The first entry with this uid; group 0 and home "/" where there is none.
UserEntry find_user(const std::string& passwd_file, int64_t uid);
UserEntry find_user_in(std::string_view passwd, int64_t uid);

}  // namespace sallyport::runtime
