// Errors without exceptions: Result<T> is std::expected<T, Error>, Status is Result<void>.
// No exception crosses a module border; a wrapper around a throwing library catches in its .cc.
#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace sallyport {

enum class Code {
  kInvalid,      // the input is wrong; the message says where and what was expected
  kNotFound,     // a named thing does not exist
  kConflict,     // it exists already, or another owner has it
  kDenied,       // not permitted
  kUnavailable,  // try again later
  kExhausted,    // a limit was reached; the message says which one to raise
  kInternal,     // a bug, or a kernel that does not behave
  kOs,           // a system call failed; `os_errno` is set
};

struct Error {
  Code code = Code::kInternal;
  std::string message;  // for people: what, where, what was expected
  int os_errno = 0;
};

template <class T>
using Result = std::expected<T, Error>;
using Status = std::expected<void, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(Code code, std::string message) {
  return std::unexpected(Error{code, std::move(message), 0});
}

// The error of the system call that just failed: "WHAT: No such file or directory".
[[nodiscard]] std::unexpected<Error> fail_errno(std::string_view what, int err = errno);

// Puts "CONTEXT: " before the message of an error that is passed on.
[[nodiscard]] std::unexpected<Error> fail_in(std::string_view context, Error error);

}  // namespace sallyport

#define SP_CONCAT_INNER(a, b) a##b
#define SP_CONCAT(a, b) SP_CONCAT_INNER(a, b)

// SP_TRY(auto x, f()): x is the value of f(), or the enclosing function returns its error.
#define SP_TRY(declaration, expression) \
  SP_TRY_IMPL(SP_CONCAT(sp_try_, __LINE__), declaration, expression)
#define SP_TRY_IMPL(tmp, declaration, expression)           \
  auto tmp = (expression);                                  \
  if (!tmp) return std::unexpected(std::move(tmp).error()); \
  declaration = std::move(*tmp)

// SP_CHECK_OK(f()): the enclosing function returns the error of f(), if it has one.
#define SP_CHECK_OK(expression)                             \
  do {                                                      \
    if (auto sp_status = (expression); !sp_status)          \
      return std::unexpected(std::move(sp_status).error()); \
  } while (false)
