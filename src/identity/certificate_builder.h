// Makes the two kinds of certificates that the authority signs (X509-SVID.md sections 2 to 4).
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <string>

#include "base/result.h"
#include "identity/certificate.h"

namespace sallyport::identity {

// A self-signed root whose name is the trust domain's SPIFFE ID.
Result<bssl::UniquePtr<X509>> build_root(EVP_PKEY* key, const std::string& trust_domain,
                                         const Validity& validity);

struct LeafRequest {
  std::string uri;
  EVP_PKEY* key = nullptr;  // the workload's
  Validity validity;
};
Result<bssl::UniquePtr<X509>> build_leaf(const LeafRequest& request, const X509* issuer,
                                         EVP_PKEY* issuer_key);

}  // namespace sallyport::identity
