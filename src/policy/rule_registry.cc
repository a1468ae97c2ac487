#include <algorithm>

#include "base/strings.h"
#include "policy/compiled.h"

namespace sallyport::policy {
namespace {

constexpr std::string_view kHead = "sallyport-rules 1";
constexpr RuleId kMostRules = 1U << 31;
constexpr size_t kFields = 8;  // of a line, without isolating policies

// Fields are separated by tabs, lines by newlines.
std::string escape(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '\\':
        out += "\\\\";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\n':
        out += "\\n";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::optional<std::string> unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    if (++i == text.size()) return std::nullopt;
    switch (text[i]) {
      case '\\':
        out += '\\';
        break;
      case 't':
        out += '\t';
        break;
      case 'n':
        out += '\n';
        break;
      default:
        return std::nullopt;
    }
  }
  return out;
}

// Everything but the id: a line of the file, and the key of the registry.
std::string line_of(const RuleInfo& info, uint64_t content_hash) {
  std::string line = std::to_string(static_cast<int>(info.direction)) + '\t' +
                     std::to_string(static_cast<int>(info.reason)) + '\t' +
                     std::to_string(static_cast<int>(info.action)) + '\t' +
                     std::to_string(info.rule) + '\t' + std::to_string(content_hash) + '\t' +
                     std::to_string(info.isolated_by.size()) + '\t' + escape(info.policy);
  for (const std::string& policy : info.isolated_by) line += '\t' + escape(policy);
  return line;
}

// A field as a number of at most `most`.
template <class T>
bool number(const std::string& field, uint64_t most, T& out) {
  auto value = parse_number<uint64_t>(field);
  if (!value || *value > most) return false;
  out = static_cast<T>(*value);
  return true;
}

// False where the line is malformed.
bool parse_line(std::string_view line, RuleInfo& info, uint64_t& content_hash) {
  std::vector<std::string> fields = split(line, '\t');
  if (fields.size() < kFields) return false;
  size_t isolating = 0;
  if (!number(fields[0], kMostRules, info.id) || info.id == 0) return false;
  if (!number(fields[1], 1, info.direction) || !number(fields[2], 6, info.reason) ||
      !number(fields[3], 1, info.action) || !number(fields[5], UINT64_MAX, content_hash) ||
      !number(fields[6], fields.size(), isolating) || fields.size() != kFields + isolating)
    return false;
  auto rule = parse_number<int>(fields[4]);
  auto policy = unescape(fields[7]);
  if (!rule || *rule < -1 || !policy) return false;
  info.rule = *rule;
  info.policy = *std::move(policy);
  for (size_t i = kFields; i < fields.size(); ++i) {
    auto name = unescape(fields[i]);
    if (!name) return false;
    info.isolated_by.push_back(*std::move(name));
  }
  return true;
}

}  // namespace

RuleId RuleRegistry::intern(const RuleInfo& info, uint64_t content_hash) {
  auto [slot, fresh] = by_key_.try_emplace(line_of(info, content_hash), next_);
  if (fresh) {
    RuleId id = next_++;
    Entry& entry = by_id_[id];
    entry = {info, content_hash, 0};
    entry.info.id = id;
  }
  by_id_.find(slot->second)->second.used = epoch_;
  return slot->second;
}

const RuleInfo* RuleRegistry::find(RuleId id) const {
  auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second.info;
}

void RuleRegistry::trim() {
  constexpr size_t kSpare = 10000;
  std::vector<std::pair<uint64_t, RuleId>> unused;
  for (const auto& [id, entry] : by_id_)
    if (entry.used != epoch_) unused.emplace_back(entry.used, id);
  size_t in_use = by_id_.size() - unused.size();
  size_t allowed = in_use + kSpare;
  if (unused.size() <= allowed) return;
  std::sort(unused.begin(), unused.end());
  unused.resize(unused.size() - allowed);
  for (const auto& [used, id] : unused) {
    auto found = by_id_.find(id);
    by_key_.erase(line_of(found->second.info, found->second.content_hash));
    by_id_.erase(found);
  }
}

void RuleRegistry::save(std::string& out) const {
  std::vector<const Entry*> entries;
  entries.reserve(by_id_.size());
  for (const auto& [id, entry] : by_id_) entries.push_back(&entry);
  std::sort(entries.begin(), entries.end(),
            [](const Entry* a, const Entry* b) { return a->info.id < b->info.id; });
  out += std::string(kHead) + ' ' + std::to_string(next_) + ' ' + std::to_string(entries.size()) +
         '\n';
  for (const Entry* entry : entries)
    out += std::to_string(entry->info.id) + '\t' + line_of(entry->info, entry->content_hash) + '\n';
}

Status RuleRegistry::load(std::string_view in) {
  auto wrong = [](size_t line, const std::string& what) {
    return fail(Code::kInvalid, "rule registry, line " + std::to_string(line) + ": " + what);
  };
  size_t end = in.find('\n');
  std::vector<std::string> head = split(in.substr(0, end), ' ');
  std::optional<RuleId> next;
  std::optional<size_t> count;
  if (end != std::string_view::npos && head.size() == 4 && head[0] + ' ' + head[1] == kHead) {
    next = parse_number<RuleId>(head[2]);
    count = parse_number<size_t>(head[3]);
  }
  if (!next || !count || *next == 0 || *next > kMostRules)
    return wrong(1, "expected \"" + std::string(kHead) + " NEXT COUNT\"");

  RuleRegistry loaded;
  loaded.next_ = *next;
  size_t number_of_line = 1;
  for (size_t at = end + 1; at < in.size(); at = end + 1) {
    end = in.find('\n', at);
    ++number_of_line;
    if (end == std::string_view::npos) return wrong(number_of_line, "the line is cut off");
    Entry entry;
    if (!parse_line(in.substr(at, end - at), entry.info, entry.content_hash))
      return wrong(number_of_line, "not a rule");
    RuleId id = entry.info.id;
    if (id >= *next) return wrong(number_of_line, "its id is not below NEXT");
    if (!loaded.by_key_.emplace(line_of(entry.info, entry.content_hash), id).second ||
        !loaded.by_id_.emplace(id, std::move(entry)).second)
      return wrong(number_of_line, "the rule or its id stands there twice");
  }
  if (loaded.by_id_.size() != *count)
    return wrong(1, "expected " + std::to_string(*count) + " rules, found " +
                        std::to_string(loaded.by_id_.size()));
  *this = std::move(loaded);
  return {};
}

}  // namespace sallyport::policy
