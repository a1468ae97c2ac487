// links: jwt
// Key sets of RequestAuthentication objects: read, and used on a token of each kind.
#include <openssl/err.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "jwt/jwt.h"

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

// RFC 7515 A.2 and A.3 cut short, RFC 8037 A.4 changed: none has a good signature by any key.
constexpr std::string_view kTokens[] = {
    "eyJhbGciOiJSUzI1NiJ9.e30.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7",
    "eyJhbGciOiJQUzUxMiJ9.e30.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7",
    "eyJhbGciOiJFUzI1NiJ9.e30."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    "eyJhbGciOiJFZERTQSJ9.e30."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    "eyJhbGciOiJub25lIn0.e30.",
    "eyJhbGciOiJIUzI1NiJ9.e30.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport::jwt;
  const auto set = KeySet::parse({reinterpret_cast<const char*>(data), size});
  check(ERR_peek_error() == 0);
  if (!set) {
    check(!set.error().message.empty());
    return 0;
  }
  check((*set)->size() > 0 && (*set)->size() <= 256);
  for (const std::string_view token : kTokens) check(!verify(token, **set, {}, {}).has_value());
  check(ERR_peek_error() == 0);
  return 0;
}
