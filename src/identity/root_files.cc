#include "identity/root_files.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "identity/certificate.h"

namespace sallyport::identity {
namespace {

constexpr size_t kMaxFile = 64 << 10;

// Never asks at the terminal for the pass phrase of an encrypted key.
int no_pass_phrase(char*, int, int, void*) {
  return -1;
}

struct SecretText {
  std::string text;
  SecretText() = default;
  SecretText(SecretText&&) = default;
  SecretText& operator=(SecretText&&) = default;
  ~SecretText() { OPENSSL_cleanse(text.data(), text.size()); }
};

Result<SecretText> read_private(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) {
    if (errno == ENOENT) return fail(Code::kNotFound, path + " does not exist");
    if (errno == ELOOP) return fail(Code::kDenied, path + " is a symbolic link");
    return fail_errno(path);
  }
  struct stat st{};
  if (::fstat(fd.get(), &st) != 0) return fail_errno(path);
  if (!S_ISREG(st.st_mode)) return fail(Code::kDenied, path + " is no regular file");
  if (st.st_uid != ::geteuid()) return fail(Code::kDenied, path + " belongs to another user");
  if ((st.st_mode & 077) != 0)
    return fail(Code::kDenied, path + " may be used by others; its mode must be 0600");
  if (st.st_size > static_cast<off_t>(kMaxFile))
    return fail(Code::kInvalid, path + " is larger than 64 KiB");
  SecretText secret;
  secret.text.resize(static_cast<size_t>(st.st_size));
  size_t done = 0;
  while (done < secret.text.size()) {
    const ssize_t n = ::read(fd.get(), secret.text.data() + done, secret.text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(path);
    if (n == 0) return fail(Code::kConflict, path + " changed while it was read");
    done += static_cast<size_t>(n);
  }
  return secret;
}

// Written whole under another name, then linked: nobody ever finds a part of a key, and a key that
// another process has just made is not overwritten.
Status write_private(const std::string& path, const char* data, size_t size) {
  const std::string temporary = path + ".tmp-" + std::to_string(::getpid());
  ::unlink(temporary.c_str());  // of a process with this number that died here
  Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return fail_errno(temporary);
  const auto give_up = [&](int err) {
    ::unlink(temporary.c_str());
    return err == EEXIST ? fail(Code::kConflict, path + " exists already") : fail_errno(path, err);
  };
  for (size_t done = 0; done < size;) {
    const ssize_t n = ::write(fd.get(), data + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return give_up(errno);
    done += static_cast<size_t>(n);
  }
  if (::fsync(fd.get()) != 0) return give_up(errno);
  if (::link(temporary.c_str(), path.c_str()) != 0) return give_up(errno);
  if (::unlink(temporary.c_str()) != 0) return fail_errno(temporary);
  return {};
}

// That nothing stands behind what was read: a second block would be a second opinion.
bool only_space_left(BIO* bio) {
  char c = 0;
  while (BIO_read(bio, &c, 1) == 1)
    if (c != '\n' && c != '\r' && c != ' ' && c != '\t') return false;
  return true;
}

}  // namespace

Result<bssl::UniquePtr<EVP_PKEY>> load_key_file(const std::string& path) {
  SP_TRY(const SecretText secret, read_private(path));
  bssl::UniquePtr<BIO> bio(
      BIO_new_mem_buf(secret.text.data(), static_cast<ossl_ssize_t>(secret.text.size())));
  bssl::UniquePtr<EVP_PKEY> key(
      bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_pass_phrase, nullptr) : nullptr);
  if (!key)
    return fail(Code::kInvalid,
                path + ": not an unencrypted private key in PEM: " + library_error());
  if (!only_space_left(bio.get()))
    return fail(Code::kInvalid, path + ": there is something behind the private key");
  return key;
}

Status save_key_file(const std::string& path, const EVP_PKEY* key) {
  bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  const uint8_t* data = nullptr;
  size_t size = 0;
  if (!bio ||
      !PEM_write_bio_PKCS8PrivateKey(bio.get(), const_cast<EVP_PKEY*>(key), nullptr, nullptr, 0,
                                     nullptr, nullptr) ||
      !BIO_mem_contents(bio.get(), &data, &size))
    return fail(Code::kInternal, "cannot encode a key: " + library_error());
  return write_private(path, reinterpret_cast<const char*>(data), size);
}

Result<bssl::UniquePtr<X509>> load_certificate_file(const std::string& path) {
  if (!exists(path)) return fail(Code::kNotFound, path + " does not exist");
  SP_TRY(const std::string text, read_file(path, kMaxFile));
  bssl::UniquePtr<BIO> bio(BIO_new_mem_buf(text.data(), static_cast<ossl_ssize_t>(text.size())));
  bssl::UniquePtr<X509> certificate(
      bio ? PEM_read_bio_X509(bio.get(), nullptr, no_pass_phrase, nullptr) : nullptr);
  if (!certificate)
    return fail(Code::kInvalid, path + ": not a certificate in PEM: " + library_error());
  if (!only_space_left(bio.get()))
    return fail(Code::kInvalid, path + ": there is something behind the certificate");
  return certificate;
}

Status save_certificate_file(const std::string& path, const X509* certificate) {
  bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  const uint8_t* data = nullptr;
  size_t size = 0;
  if (!bio || !PEM_write_bio_X509(bio.get(), const_cast<X509*>(certificate)) ||
      !BIO_mem_contents(bio.get(), &data, &size))
    return fail(Code::kInternal, "cannot encode a certificate: " + library_error());
  return write_file_atomic(path, {reinterpret_cast<const char*>(data), size}, 0644);
}

}  // namespace sallyport::identity
