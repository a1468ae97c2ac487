#include "runtime/users.h"

#include "base/fs.h"
#include "base/strings.h"

namespace sallyport::runtime {

UserEntry find_user_in(std::string_view passwd, int64_t uid) {
  for (const std::string& line : split(passwd, '\n')) {
    std::vector<std::string> fields = split(line, ':');
    if (fields.size() < 7 || parse_number<int64_t>(fields[2]) != uid) continue;
    UserEntry entry;
    entry.gid = parse_number<int64_t>(fields[3]).value_or(0);
    if (fields[5].starts_with('/')) entry.home = fields[5];
    return entry;
  }
  return {};
}

UserEntry find_user(const std::string& passwd_file, int64_t uid) {
  auto text = read_file(passwd_file, 4 << 20);
  return text ? find_user_in(*text, uid) : UserEntry{};
}

}  // namespace sallyport::runtime
