#include "workload/hash.h"

#include <algorithm>
#include <bit>
#include <string_view>
#include <vector>

#include "base/strings.h"

namespace sallyport::workload {
namespace {

constexpr std::string_view kSafe = "bcdfghjklmnpqrstvwxz2456789";
constexpr uint64_t kSuffixes = 27ULL * 27 * 27 * 27 * 27;

uint64_t mix_number(uint64_t number, uint64_t seed) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(number >> (8 * i));
  return fnv1a(std::string_view(bytes, 8), seed);
}

// Lengths are hashed too, so that neighbouring texts cannot be cut differently.
uint64_t mix_text(std::string_view text, uint64_t seed) {
  return fnv1a(text, mix_number(text.size(), seed));
}

uint64_t mix(const codec::Value& value, uint64_t seed) {
  using Type = codec::Value::Type;
  seed = mix_number(static_cast<uint64_t>(value.type()), seed);
  switch (value.type()) {
    case Type::kNull:
      return seed;
    case Type::kBool:
      return mix_number(value.as_bool() ? 1 : 0, seed);
    case Type::kInt:
      return mix_number(static_cast<uint64_t>(value.as_int()), seed);
    case Type::kFloat:
      return mix_number(std::bit_cast<uint64_t>(value.as_double()), seed);
    case Type::kString:
      return mix_text(value.as_string(), seed);
    case Type::kList:
      seed = mix_number(value.items().size(), seed);
      for (const codec::Value& item : value.items()) seed = mix(item, seed);
      return seed;
    case Type::kMap: {
      std::vector<const codec::Value::Member*> members;
      for (const codec::Value::Member& member : value.members()) members.push_back(&member);
      std::sort(members.begin(), members.end(),
                [](const auto* a, const auto* b) { return a->key < b->key; });
      seed = mix_number(members.size(), seed);
      for (const codec::Value::Member* member : members)
        seed = mix(member->value, mix_text(member->key, seed));
      return seed;
    }
  }
  return seed;
}

}  // namespace

uint64_t hash_value(const codec::Value& value) {
  return mix(value, fnv1a("sallyport.dev/v1"));
}

std::string safe_text(uint64_t hash, int length) {
  std::string text;
  for (int i = 0; i < length; ++i) {
    text += kSafe[hash % kSafe.size()];
    hash /= kSafe.size();
  }
  return text;
}

std::string replica_suffix(uint64_t seed, uint32_t index) {
  // The factor is prime to 27^5, so that the map from index to suffix is one to one; it spreads
  // neighbouring indices over the alphabet.
  constexpr uint64_t kFactor = 8675309;
  static_assert(kFactor % 3 != 0);
  return safe_text((seed % kSuffixes + kFactor * (index % kSuffixes)) % kSuffixes, 5);
}

}  // namespace sallyport::workload
