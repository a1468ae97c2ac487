#include "base/result.h"

#include <cstring>

namespace sallyport {

std::unexpected<Error> fail_errno(std::string_view what, int err) {
  std::string message(what);
  message += ": ";
  message += std::strerror(err);
  return std::unexpected(Error{Code::kOs, std::move(message), err});
}

std::unexpected<Error> fail_in(std::string_view context, Error error) {
  error.message = std::string(context) + ": " + error.message;
  return std::unexpected(std::move(error));
}

}  // namespace sallyport
