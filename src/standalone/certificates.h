// The certificates of the identities that the node's pods have: issued when an identity is first
// wanted, renewed at half of their life (with jitter, so that they do not all come at once), and
// forgotten with its last pod. Owned by one thread; views are copies.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "identity/authority.h"

namespace sallyport::standalone {

// What `get identities` shows.
struct CertificateView {
  std::string id;  // SPIFFE ID
  std::string serial;
  WallTime not_before, not_after, renew_at;
  uint64_t issued = 0;  // how often, in the life of this process
  std::string problem;  // why the last attempt failed; empty: it did not
};

class Certificates {
 public:
  // `random` gives numbers from 0 to 1.
  Certificates(std::shared_ptr<identity::Authority> authority, std::chrono::seconds ttl,
               const Clock& clock, std::function<double()> random);

  // Issues what is missing, forgets what is not in the set.
  void want(const std::set<identity::SpiffeId>& ids);
  // Renews what is due. True where something was issued.
  bool renew();

  // A sealed memfd for mesh::SvidMessage with its serial; null where none could be issued yet.
  struct Issued {
    std::string serial;
    std::shared_ptr<const Fd> content;
  };
  [[nodiscard]] const Issued* find(const std::string& id) const;
  // When renew() has something to do next; the far future where nothing is wanted.
  [[nodiscard]] WallTime due() const;
  [[nodiscard]] std::vector<CertificateView> views() const;
  [[nodiscard]] uint64_t issued() const { return issued_; }
  [[nodiscard]] uint64_t failures() const { return failures_; }
  [[nodiscard]] const std::shared_ptr<identity::Authority>& authority() const { return authority_; }

 private:
  struct Entry {
    identity::SpiffeId id;
    CertificateView view;
    Issued issued;
  };
  void issue(Entry& entry);

  std::shared_ptr<identity::Authority> authority_;
  std::chrono::seconds ttl_;
  const Clock& clock_;
  std::function<double()> random_;
  std::map<std::string, Entry> entries_;  // by SPIFFE ID
  uint64_t issued_ = 0, failures_ = 0;
};

}  // namespace sallyport::standalone
