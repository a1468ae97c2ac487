// GlobMap and CidrMap against comparing one by one.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "authz/cidr_map.h"
#include "authz/glob_map.h"

namespace sallyport::authz {
namespace {

class Random {
 public:
  size_t below(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(engine_); }
  std::string word(size_t most) {
    std::string out;
    for (size_t n = below(most + 1); n > 0; --n) out += "ab/"[below(3)];
    return out;
  }

 private:
  std::mt19937_64 engine_{11};
};

TEST(GlobMap, FindsWhatMatchesAndNothingElse) {
  Random random;
  size_t hits = 0;
  for (int round = 0; round < 300; ++round) {
    GlobMap map;
    std::vector<std::string> globs;
    const size_t count = 1 + random.below(40);
    for (uint32_t id = 0; id < count; ++id) {
      std::string glob = random.word(5);
      switch (random.below(4)) {
        case 0:
          glob.insert(0, 1, '*');
          break;
        case 1:
          glob += "*";
          break;
        default:
          if (glob.empty()) glob = "x";
      }
      map.add(parse_glob(glob), id);
      map.add(parse_glob(glob), id);
      globs.push_back(std::move(glob));
    }
    for (int i = 0; i < 40; ++i) {
      const std::string text = random.word(8);
      std::set<uint32_t> expected, found;
      for (uint32_t id = 0; id < globs.size(); ++id)
        if (glob_matches(globs[id], text)) expected.insert(id);
      map.find(PlainText{text}, [&](const GlobMap::Ids& ids) {
        EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
        for (uint32_t id : ids) EXPECT_TRUE(found.insert(id).second) << "twice";
        return false;
      });
      ASSERT_EQ(found, expected) << text;
      ASSERT_EQ(map.matches(PlainText{text}), !expected.empty());
      // In two pieces, and in capitals.
      std::string upper = text;
      for (char& c : upper)
        if (c >= 'a') c = static_cast<char>(c & ~0x20);
      const size_t cut = random.below(upper.size() + 1);
      ASSERT_EQ(map.matches(FoldedText{std::string_view(upper).substr(0, cut),
                                       std::string_view(upper).substr(cut)}),
                !expected.empty());
      hits += expected.size();
    }
  }
  EXPECT_GE(hits, 5000u);
}

TEST(GlobMap, StopsWhenTold) {
  GlobMap map;
  for (const char* glob : {"*", "a", "a*", "*a"}) map.add(parse_glob(glob));
  int visits = 0;
  EXPECT_TRUE(map.find(PlainText{"a"}, [&](const GlobMap::Ids&) { return ++visits == 2; }));
  EXPECT_EQ(visits, 2);
  EXPECT_FALSE(map.matches(PlainText{""}));
  EXPECT_FALSE(GlobMap().matches(PlainText{"a"}));
  EXPECT_TRUE(GlobMap().empty());
}

TEST(CidrMap, FindsWhatContainsAndNothingElse) {
  Random random;
  auto address = [&] {
    std::string text = random.below(2) == 0 ? "198.18." : "fd00::";
    const bool v4 = text.ends_with('.');
    text += std::to_string(random.below(3)) + (v4 ? "." : ":") + std::to_string(random.below(9));
    return Ip::parse(text).value();
  };
  size_t hits = 0;
  for (int round = 0; round < 300; ++round) {
    CidrMap map;
    std::vector<Cidr> blocks;
    const size_t count = 1 + random.below(20);
    for (uint32_t id = 0; id < count; ++id) {
      const Ip base = address();
      const size_t most = base.family() == Family::kV4 ? 32 : 128;
      const size_t bits = random.below(4) == 0 ? random.below(most + 1) : most - random.below(20);
      blocks.push_back(Cidr::parse(base.to_string() + "/" + std::to_string(bits)).value());
      map.add(blocks.back(), id);
    }
    for (int i = 0; i < 40; ++i) {
      const Ip ip = address();
      std::set<uint32_t> expected, found;
      for (uint32_t id = 0; id < blocks.size(); ++id)
        if (blocks[id].contains(ip)) expected.insert(id);
      map.find(ip, [&](const CidrMap::Ids& ids) {
        found.insert(ids.begin(), ids.end());
        return false;
      });
      ASSERT_EQ(found, expected) << ip.to_string();
      ASSERT_EQ(map.matches(ip), !expected.empty());
      hits += expected.size();
    }
  }
  EXPECT_GE(hits, 5000u);
}

}  // namespace
}  // namespace sallyport::authz
