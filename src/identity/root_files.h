// The root's two files: its private key and its certificate, each one PEM block.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <string>

#include "base/result.h"

namespace sallyport::identity {

// kNotFound where there is no file. Refused (kDenied): a symbolic link, anything but a regular
// file, one of another user, and one that group or others may use in any way.
Result<bssl::UniquePtr<EVP_PKEY>> load_key_file(const std::string& path);
// Readable by its owner alone from the first moment; kConflict where the file exists.
Status save_key_file(const std::string& path, const EVP_PKEY* key);

Result<bssl::UniquePtr<X509>> load_certificate_file(const std::string& path);
Status save_certificate_file(const std::string& path, const X509* certificate);

}  // namespace sallyport::identity
