#include "net/nft.h"

#include "base/strings.h"
#include "net/spawn.h"

namespace sallyport::net {
namespace {

constexpr const char* kNft = "/usr/sbin/nft";

// The first lines of what nft said; a large script can have thousands of errors.
std::string words(const std::string& output) {
  std::string_view text = trim(output);
  return std::string(text.substr(0, 2000));
}

}  // namespace

Status apply_nft(int netns_fd, std::string_view script) {
  SP_TRY(Outcome outcome, run_in(netns_fd, {kNft, "-f", "-"}, script));
  if (outcome.status == 0) return {};
  return fail(Code::kInternal,
              "nft ended with " + std::to_string(outcome.status) + ": " + words(outcome.output));
}

Result<std::string> query_nft(int netns_fd, const std::string& argument) {
  std::vector<std::string> argv{kNft};
  for (std::string& word : split(argument, ' ')) argv.push_back(std::move(word));
  SP_TRY(Outcome outcome, run_in(netns_fd, argv, {}));
  if (outcome.status == 0) return std::move(outcome.output);
  bool missing = outcome.output.find("No such file or directory") != std::string::npos;
  return fail(missing ? Code::kNotFound : Code::kInternal,
              "nft " + argument + ": " + words(outcome.output));
}

}  // namespace sallyport::net
