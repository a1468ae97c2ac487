// Reading of X.509 certificates, for this module: what the library parses, with types of ours.
#pragma once

#include <openssl/base.h>
#include <openssl/x509.h>

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace sallyport::identity {

// DER without trailing bytes. kInvalid says so where it is none.
Result<bssl::UniquePtr<X509>> parse_certificate(const std::string& der);
Result<std::string> certificate_der(const X509* certificate);

// Seconds since 1970 as a WallTime; what a WallTime cannot hold becomes its nearest end.
WallTime from_posix(int64_t seconds);
int64_t to_posix(WallTime time);  // rounded down

struct Validity {
  int64_t not_before = 0, not_after = 0;  // seconds since 1970
};
Result<Validity> validity_of(const X509* certificate);

// The URIs of the subject alternative name, bytes as they stand (NUL included). kInvalid where the
// extension is malformed or there twice.
Result<std::vector<std::string>> uris_of(const X509* certificate);

std::string serial_of(const X509* certificate);  // lower-case hexadecimal

// Empties the library's error queue of this thread; its last words.
std::string library_error();

}  // namespace sallyport::identity
