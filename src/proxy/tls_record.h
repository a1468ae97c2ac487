// The record layer of TLS 1.3 (RFC 8446 section 5) for connections whose handshake is done: the
// handshake is AWS-LC's, records are sealed and opened here with its AEADs, in place, without a
// buffer per connection. What an idle connection keeps is two keys.
#pragma once

#include <openssl/aead.h>
#include <openssl/ssl.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"

namespace sallyport::proxy {

inline constexpr size_t kRecordHeader = 5;
inline constexpr size_t kRecordPlaintext = 16384;      // RFC 8446 section 5.1
inline constexpr size_t kRecordMost = 16384 + 256;     // of a protected record, section 5.2
inline constexpr size_t kRecordOverhead = 5 + 1 + 16;  // header, content type, tag

class TlsRecords {
 public:
  // Takes over from a finished handshake of TLS 1.3. `ssl` is not used afterwards.
  static Result<std::unique_ptr<TlsRecords>> take_over(const SSL* ssl);
  ~TlsRecords();
  TlsRecords(const TlsRecords&) = delete;
  TlsRecords& operator=(const TlsRecords&) = delete;

  enum class Kind : uint8_t {
    kNeedMore,  // not a whole record yet
    kData,      // `plaintext` (possibly empty), inside the bytes that were given
    kNothing,   // a record for this layer: key update, session ticket
    kEnd,       // close_notify
    kAlert,     // the peer gave up: `alert`
    kBroken,    // not authentic or not TLS: answer with `alert` and cut
  };
  struct Opened {
    Kind kind = Kind::kNeedMore;
    size_t consumed = 0;
    std::span<uint8_t> plaintext;
    uint8_t alert = 0;
  };
  // Opens the first record of `bytes`, in place.
  Opened open(std::span<uint8_t> bytes);

  // Seals `plaintext` (any length) as records into `out`, which has room for sealed_size() bytes.
  // Returns how many were written; 0 for failure.
  size_t seal(std::span<const uint8_t> plaintext, uint8_t* out);
  static size_t sealed_size(size_t plaintext) {
    return plaintext + (plaintext + kRecordPlaintext - 1) / kRecordPlaintext * kRecordOverhead;
  }
  // An alert record (24 bytes at most).
  size_t seal_alert(uint8_t level, uint8_t description, uint8_t* out);
  static constexpr size_t kAlertSize = 2 + kRecordOverhead;
  // The peer asked for new keys, or ours are worn: a key update must go out before further data.
  [[nodiscard]] bool update_due() const { return update_due_; }
  size_t seal_key_update(uint8_t* out);
  static constexpr size_t kKeyUpdateSize = 5 + kRecordOverhead;

  // Test hook: after so many records a key is replaced. AES-GCM wears out at 2^24.5 full records.
  void set_key_life(uint64_t records) { key_life_ = records; }

 private:
  struct Direction {
    EVP_AEAD_CTX key;
    std::array<uint8_t, 12> iv{};
    uint64_t sequence = 0;
    std::array<uint8_t, 48> secret{};
    Direction() { EVP_AEAD_CTX_zero(&key); }
    ~Direction();
  };

  TlsRecords(const EVP_AEAD* aead, const EVP_MD* digest) : aead_(aead), digest_(digest) {}
  bool derive(Direction& direction);
  bool next_secret(Direction& direction);
  size_t seal_one(uint8_t type, std::span<const uint8_t> plaintext, uint8_t* out);
  Opened handshake_message(std::span<const uint8_t> message, size_t consumed);
  static void nonce(const Direction& direction, uint8_t* out);

  const EVP_AEAD* aead_;
  const EVP_MD* digest_;
  uint8_t secret_size_ = 0;
  bool update_due_ = false;
  uint8_t ignored_ = 0;       // consecutive records without data, bounded
  uint32_t ticket_left_ = 0;  // bytes of a handshake message that goes on in the next record
  uint64_t key_life_ = uint64_t{1} << 23;
  Direction read_, write_;
};

}  // namespace sallyport::proxy
