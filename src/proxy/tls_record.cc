#include "proxy/tls_record.h"

#include <openssl/kdf.h>
#include <openssl/mem.h>

#include <algorithm>
#include <cstring>

namespace sallyport::proxy {
namespace {

constexpr uint8_t kAlert = 21, kHandshake = 22, kApplicationData = 23;
constexpr uint8_t kCloseNotify = 0, kUnexpectedMessage = 10, kBadRecordMac = 20,
                  kRecordOverflow = 22, kDecodeError = 50, kInternalError = 80;
constexpr uint8_t kNewSessionTicket = 4, kKeyUpdateType = 24;
// Records that carry nothing, one after another: a peer that sends only such wants to waste time.
constexpr uint8_t kIgnoredMost = 32;
constexpr size_t kTag = 16;

}  // namespace

TlsRecords::Direction::~Direction() {
  EVP_AEAD_CTX_cleanup(&key);
  OPENSSL_cleanse(secret.data(), secret.size());
  OPENSSL_cleanse(iv.data(), iv.size());
}

TlsRecords::~TlsRecords() = default;

Result<std::unique_ptr<TlsRecords>> TlsRecords::take_over(const SSL* ssl) {
  const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl);
  if (SSL_version(ssl) != TLS1_3_VERSION || !cipher || SSL_in_init(ssl))
    return fail(Code::kInternal, "the TLS handshake is not finished, or not of version 1.3");
  const EVP_AEAD* aead = nullptr;
  const EVP_MD* digest = EVP_sha256();
  switch (SSL_CIPHER_get_protocol_id(cipher)) {
    case 0x1301:
      aead = EVP_aead_aes_128_gcm();
      break;
    case 0x1302:
      aead = EVP_aead_aes_256_gcm();
      digest = EVP_sha384();
      break;
    case 0x1303:
      aead = EVP_aead_chacha20_poly1305();
      break;
    default:
      return fail(Code::kInternal, "unknown TLS cipher");
  }
  std::unique_ptr<TlsRecords> out(new TlsRecords(aead, digest));
  out->secret_size_ = static_cast<uint8_t>(EVP_MD_size(digest));
  size_t read_size = out->read_.secret.size(), write_size = out->write_.secret.size();
  if (SSL_get_read_traffic_secret(ssl, out->read_.secret.data(), &read_size) != 1 ||
      SSL_get_write_traffic_secret(ssl, out->write_.secret.data(), &write_size) != 1 ||
      read_size != out->secret_size_ || write_size != out->secret_size_)
    return fail(Code::kInternal, "the TLS library gave no traffic secrets");
  if (!out->derive(out->read_) || !out->derive(out->write_))
    return fail(Code::kInternal, "the TLS keys could not be derived");
  out->read_.sequence = SSL_get_read_sequence(ssl);
  out->write_.sequence = SSL_get_write_sequence(ssl);
  return out;
}

// RFC 8446 section 7.3.
bool TlsRecords::derive(Direction& direction) {
  std::array<uint8_t, EVP_AEAD_MAX_KEY_LENGTH> key{};
  const size_t key_size = EVP_AEAD_key_length(aead_);
  static constexpr uint8_t kKey[] = {'k', 'e', 'y'}, kIv[] = {'i', 'v'};
  bool good = CRYPTO_tls13_hkdf_expand_label(key.data(), key_size, digest_, direction.secret.data(),
                                             secret_size_, kKey, sizeof kKey, nullptr, 0) == 1 &&
              CRYPTO_tls13_hkdf_expand_label(direction.iv.data(), direction.iv.size(), digest_,
                                             direction.secret.data(), secret_size_, kIv, sizeof kIv,
                                             nullptr, 0) == 1;
  EVP_AEAD_CTX_cleanup(&direction.key);
  EVP_AEAD_CTX_zero(&direction.key);
  good = good && EVP_AEAD_CTX_init(&direction.key, aead_, key.data(), key_size, kTag, nullptr) == 1;
  direction.sequence = 0;
  OPENSSL_cleanse(key.data(), key.size());
  return good;
}

bool TlsRecords::next_secret(Direction& direction) {
  static constexpr uint8_t kLabel[] = {'t', 'r', 'a', 'f', 'f', 'i', 'c', ' ', 'u', 'p', 'd'};
  std::array<uint8_t, 48> next{};
  const bool good =
      CRYPTO_tls13_hkdf_expand_label(next.data(), secret_size_, digest_, direction.secret.data(),
                                     secret_size_, kLabel, sizeof kLabel, nullptr, 0) == 1;
  direction.secret = next;
  OPENSSL_cleanse(next.data(), next.size());
  return good && derive(direction);
}

void TlsRecords::nonce(const Direction& direction, uint8_t* out) {
  std::memcpy(out, direction.iv.data(), 12);
  for (int i = 0; i < 8; ++i)
    out[4 + i] ^= static_cast<uint8_t>(direction.sequence >> (56 - 8 * i));
}

TlsRecords::Opened TlsRecords::open(std::span<uint8_t> bytes) {
  Opened out;
  if (bytes.size() < kRecordHeader) return out;
  const size_t length = static_cast<size_t>(bytes[3]) << 8 | bytes[4];
  auto broken = [&out](uint8_t alert) {
    out.kind = Kind::kBroken;
    out.alert = alert;
    return out;
  };
  // After the handshake every record is protected and looks like application data.
  if (bytes[0] != kApplicationData || bytes[1] != 3) return broken(kUnexpectedMessage);
  if (length > kRecordMost) return broken(kRecordOverflow);
  if (length < 1 + kTag) return broken(kDecodeError);
  if (bytes.size() < kRecordHeader + length) return out;
  if (read_.sequence == ~uint64_t{0}) return broken(kInternalError);

  uint8_t* sealed = bytes.data() + kRecordHeader;
  std::array<uint8_t, 12> unique;
  nonce(read_, unique.data());
  size_t size = length - kTag;
  if (EVP_AEAD_CTX_open_gather(&read_.key, sealed, unique.data(), unique.size(), sealed, size,
                               sealed + size, kTag, bytes.data(), kRecordHeader) != 1)
    return broken(kBadRecordMac);
  ++read_.sequence;
  // Content, its type, and any number of zeros.
  while (size > 0 && sealed[size - 1] == 0) --size;
  if (size == 0) return broken(kUnexpectedMessage);
  const uint8_t type = sealed[--size];
  if (size > kRecordPlaintext) return broken(kRecordOverflow);
  const std::span<uint8_t> content(sealed, size);
  out.consumed = kRecordHeader + length;

  if (ticket_left_ != 0 && type != kHandshake) return broken(kUnexpectedMessage);
  if (type == kApplicationData) {
    if (size == 0) {
      if (++ignored_ > kIgnoredMost) return broken(kUnexpectedMessage);
    } else {
      ignored_ = 0;
    }
    out.kind = Kind::kData;
    out.plaintext = content;
    return out;
  }
  if (type == kAlert) {
    if (size != 2) return broken(kDecodeError);
    out.alert = content[1];
    out.kind = content[1] == kCloseNotify ? Kind::kEnd : Kind::kAlert;
    return out;
  }
  if (type != kHandshake || size == 0) return broken(kUnexpectedMessage);
  if (++ignored_ > kIgnoredMost) return broken(kUnexpectedMessage);
  return handshake_message(content, out.consumed);
}

// After the handshake a peer may send session tickets, which are of no use here, and key updates.
TlsRecords::Opened TlsRecords::handshake_message(std::span<const uint8_t> message,
                                                 size_t consumed) {
  Opened out{Kind::kNothing, consumed, {}, 0};
  auto broken = [consumed](uint8_t alert) { return Opened{Kind::kBroken, consumed, {}, alert}; };
  while (!message.empty()) {
    if (ticket_left_ != 0) {
      const size_t part = std::min<size_t>(ticket_left_, message.size());
      ticket_left_ -= static_cast<uint32_t>(part);
      message = message.subspan(part);
      continue;
    }
    if (message.size() < 4) return broken(kDecodeError);
    const uint32_t size = static_cast<uint32_t>(message[1]) << 16 |
                          static_cast<uint32_t>(message[2]) << 8 | message[3];
    if (message[0] == kNewSessionTicket) {
      if (size > kRecordPlaintext) return broken(kDecodeError);
      ticket_left_ = size;
      message = message.subspan(4);
      continue;
    }
    // A key update ends its record: what follows is under the new key (section 5.1).
    if (message[0] != kKeyUpdateType) return broken(kUnexpectedMessage);
    if (size != 1 || message.size() != 5 || message[4] > 1) return broken(kDecodeError);
    if (!next_secret(read_)) return broken(kInternalError);
    if (message[4] == 1) update_due_ = true;
    return out;
  }
  return out;
}

size_t TlsRecords::seal_one(uint8_t type, std::span<const uint8_t> plaintext, uint8_t* out) {
  const size_t length = plaintext.size() + 1 + kTag;
  out[0] = kApplicationData;
  out[1] = 3;
  out[2] = 3;
  out[3] = static_cast<uint8_t>(length >> 8);
  out[4] = static_cast<uint8_t>(length);
  std::array<uint8_t, 12> unique;
  nonce(write_, unique.data());
  // The type is sealed behind the content: the AEAD writes it in front of the tag.
  size_t tail = 0;
  if (EVP_AEAD_CTX_seal_scatter(&write_.key, out + kRecordHeader,
                                out + kRecordHeader + plaintext.size(), &tail, 1 + kTag,
                                unique.data(), unique.size(), plaintext.data(), plaintext.size(),
                                &type, 1, out, kRecordHeader) != 1 ||
      tail != 1 + kTag)
    return 0;
  if (++write_.sequence >= key_life_) update_due_ = true;
  return kRecordHeader + length;
}

size_t TlsRecords::seal(std::span<const uint8_t> plaintext, uint8_t* out) {
  size_t written = 0;
  while (!plaintext.empty()) {
    const size_t part = std::min(plaintext.size(), kRecordPlaintext);
    const size_t n = seal_one(kApplicationData, plaintext.first(part), out + written);
    if (n == 0) return 0;
    written += n;
    plaintext = plaintext.subspan(part);
  }
  return written;
}

size_t TlsRecords::seal_alert(uint8_t level, uint8_t description, uint8_t* out) {
  const std::array<uint8_t, 2> alert = {level, description};
  return seal_one(kAlert, alert, out);
}

size_t TlsRecords::seal_key_update(uint8_t* out) {
  // Never asks for one in return: two peers that both ask would never end.
  static constexpr std::array<uint8_t, 5> kUpdate = {kKeyUpdateType, 0, 0, 1, 0};
  const size_t n = seal_one(kHandshake, kUpdate, out);
  if (n == 0 || !next_secret(write_)) return 0;
  update_due_ = false;
  return n;
}

}  // namespace sallyport::proxy
