#include "standalone/certificates.h"

#include <algorithm>

#include "base/log.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "mesh/channel.h"

namespace sallyport::standalone {
namespace {

using codec::Value;

constexpr double kRenewAt = 0.5;  // of the remaining life
constexpr double kJitter = 0.1;
constexpr auto kRetry = std::chrono::seconds(1);

int64_t posix_seconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

std::string message_of(const identity::Svid& svid, const identity::Authority& authority) {
  Value root = Value::map();
  root.set("id", svid.id.to_string());
  root.set("chain", Value::list()).push(Value::string(codec::encode_base64(svid.certificate_der)));
  root.set("key", codec::encode_base64(svid.key_der));
  root.set("notBefore", Value::integer(posix_seconds(svid.not_before)));
  root.set("notAfter", Value::integer(posix_seconds(svid.not_after)));
  root.set("roots", Value::map())
      .set(authority.trust_domain(), Value::list())
      .push(Value::string(codec::encode_base64(authority.root_der())));
  return codec::write_json(root);
}

}  // namespace

Certificates::Certificates(std::shared_ptr<identity::Authority> authority, std::chrono::seconds ttl,
                           const Clock& clock, std::function<double()> random)
    : authority_(std::move(authority)), ttl_(ttl), clock_(clock), random_(std::move(random)) {}

void Certificates::issue(Entry& entry) {
  WallTime now = clock_.wall();
  auto make = [&]() -> Status {
    SP_TRY(identity::Svid svid, authority_->issue(entry.id, ttl_, now));
    SP_TRY(Fd content, mesh::to_memfd(message_of(svid, *authority_), "sallyport-svid"));
    entry.issued = {svid.serial, std::make_shared<const Fd>(std::move(content))};
    entry.view.serial = svid.serial;
    entry.view.not_before = svid.not_before;
    entry.view.not_after = svid.not_after;
    auto left = std::chrono::duration<double>(svid.not_after - now);
    auto wait = left * (kRenewAt * (1 + kJitter * (2 * random_() - 1)));
    entry.view.renew_at = now + std::chrono::duration_cast<WallTime::duration>(wait);
    return {};
  };
  auto made = make();
  if (made) {
    ++issued_;
    ++entry.view.issued;
    entry.view.problem.clear();
    return;
  }
  // A certificate that is still valid stays in use meanwhile.
  ++failures_;
  if (entry.view.problem != made.error().message)
    log_error("mesh", "no certificate for " + entry.view.id + ": " + made.error().message);
  entry.view.problem = made.error().message;
  entry.view.renew_at = now + kRetry;
}

void Certificates::want(const std::set<identity::SpiffeId>& ids) {
  std::set<std::string> names;
  for (const identity::SpiffeId& id : ids) {
    std::string name = id.to_string();
    auto [entry, fresh] = entries_.try_emplace(name);
    if (fresh) {
      entry->second.id = id;
      entry->second.view.id = name;
      issue(entry->second);
    }
    names.insert(std::move(name));
  }
  std::erase_if(entries_, [&](const auto& entry) { return !names.contains(entry.first); });
}

bool Certificates::renew() {
  WallTime now = clock_.wall();
  bool any = false;
  for (auto& [name, entry] : entries_) {
    if (now < entry.view.renew_at) continue;
    std::string before = entry.issued.serial;
    issue(entry);
    any = any || entry.issued.serial != before;
  }
  return any;
}

const Certificates::Issued* Certificates::find(const std::string& id) const {
  auto found = entries_.find(id);
  return found == entries_.end() || !found->second.issued.content ? nullptr : &found->second.issued;
}

WallTime Certificates::due() const {
  WallTime first = WallTime::max();
  for (const auto& [name, entry] : entries_) first = std::min(first, entry.view.renew_at);
  return first;
}

std::vector<CertificateView> Certificates::views() const {
  std::vector<CertificateView> out;
  for (const auto& [name, entry] : entries_) out.push_back(entry.view);
  return out;
}

}  // namespace sallyport::standalone
