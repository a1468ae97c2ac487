#include "identity/certificate.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pool.h>
#include <openssl/x509v3.h>

namespace sallyport::identity {

std::string library_error() {
  const uint32_t packed = ERR_peek_last_error();
  const char* words = packed != 0 ? ERR_reason_error_string(packed) : nullptr;
  ERR_clear_error();
  return words ? words : "unknown error";
}

Result<bssl::UniquePtr<X509>> parse_certificate(const std::string& der) {
  bssl::UniquePtr<CRYPTO_BUFFER> buffer(
      CRYPTO_BUFFER_new(reinterpret_cast<const uint8_t*>(der.data()), der.size(), nullptr));
  bssl::UniquePtr<X509> certificate(buffer ? X509_parse_from_buffer(buffer.get()) : nullptr);
  if (!certificate)
    return fail(Code::kInvalid, "not an X.509 certificate in DER: " + library_error());
  return certificate;
}

Result<std::string> certificate_der(const X509* certificate) {
  uint8_t* bytes = nullptr;
  const int size = i2d_X509(const_cast<X509*>(certificate), &bytes);
  if (size <= 0) return fail(Code::kInternal, "cannot encode a certificate: " + library_error());
  bssl::UniquePtr<uint8_t> owned(bytes);
  return std::string(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
}

WallTime from_posix(int64_t seconds) {
  using std::chrono::duration_cast;
  constexpr int64_t kLast =
      duration_cast<std::chrono::seconds>(WallTime::max().time_since_epoch()).count();
  constexpr int64_t kFirst =
      duration_cast<std::chrono::seconds>(WallTime::min().time_since_epoch()).count();
  if (seconds >= kLast) return WallTime::max();
  if (seconds <= kFirst) return WallTime::min();
  return WallTime(std::chrono::seconds(seconds));
}

int64_t to_posix(WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

Result<Validity> validity_of(const X509* certificate) {
  Validity validity;
  if (!ASN1_TIME_to_posix(X509_get0_notBefore(certificate), &validity.not_before) ||
      !ASN1_TIME_to_posix(X509_get0_notAfter(certificate), &validity.not_after)) {
    ERR_clear_error();
    return fail(Code::kInvalid, "the validity is malformed");
  }
  return validity;
}

Result<std::vector<std::string>> uris_of(const X509* certificate) {
  int state = 0;  // 0 or 1: there once; -1: absent; -2: there twice
  bssl::UniquePtr<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, &state, nullptr)));
  std::vector<std::string> uris;
  if (!names) {
    ERR_clear_error();
    if (state == -1) return uris;
    return fail(Code::kInvalid, state == -2 ? "there are two subject alternative names"
                                            : "the subject alternative name is malformed");
  }
  for (size_t i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
    uris.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                      static_cast<size_t>(ASN1_STRING_length(uri)));
  }
  return uris;
}

std::string serial_of(const X509* certificate) {
  const ASN1_INTEGER* serial = X509_get0_serialNumber(certificate);
  const uint8_t* bytes = ASN1_STRING_get0_data(serial);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (int i = 0; i < ASN1_STRING_length(serial); ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

}  // namespace sallyport::identity
