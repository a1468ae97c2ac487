#include "http/buffer.h"

#include <gtest/gtest.h>

#include <string>

#include "http/headers.h"
#include "http/limits.h"

namespace sallyport::http {
namespace {

TEST(ByteBuffer, KeepsBytesInOrderWhateverItsSize) {
  BufferPool pool;
  {
    ByteBuffer buffer(pool);
    std::string expected;
    for (int i = 0; i < 3000; ++i) {
      const std::string piece(static_cast<size_t>(i * 7 % 5000), static_cast<char>('a' + i % 26));
      buffer.append(piece);
      expected += piece;
      const size_t take = std::min<size_t>(static_cast<size_t>(i * 13 % 4500), expected.size());
      ASSERT_EQ(buffer.text().substr(0, take), std::string_view(expected).substr(0, take));
      buffer.consume(take);
      expected.erase(0, take);
    }
    EXPECT_EQ(buffer.text(), expected);
    ByteBuffer moved(std::move(buffer));
    EXPECT_EQ(moved.text(), expected);
    EXPECT_GT(pool.in_use(), 0u);
    moved.consume(moved.size());
    EXPECT_EQ(pool.in_use(), 0u);
    EXPECT_GT(pool.kept(), 0u);
  }
  pool.shrink();
  EXPECT_EQ(pool.kept(), 0u);
}

TEST(ByteBuffer, ARoomThatWasNotUsedIsGivenBack) {
  BufferPool pool;
  ByteBuffer buffer(pool);
  EXPECT_GE(buffer.prepare(100).size(), 100u);
  EXPECT_EQ(pool.in_use(), 4096u);
  buffer.commit(0);
  EXPECT_EQ(pool.in_use(), 0u);
  buffer.prepare(1 << 20);
  EXPECT_EQ(pool.in_use(), 1u << 20);
  buffer.commit(0);
  EXPECT_EQ(pool.kept(), 4096u);  // a block of that size is not kept
}

TEST(HeaderList, KeepsOrderAndDuplicates) {
  HeaderList list;
  list.add("a", "1");
  list.add("b", "2");
  list.add("a", "3");
  list.add("x-envoy-y", "4");
  EXPECT_EQ(list.count("a"), 2u);
  EXPECT_EQ(list.get("a"), "1");
  EXPECT_EQ(list.index_of("a", 1), 2u);
  bool found = true;
  EXPECT_EQ(list.get("c", &found), "");
  EXPECT_FALSE(found);
  EXPECT_EQ(list.remove_prefix("x-envoy-"), 1u);
  list.set("a", "9");
  EXPECT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].name, "b");
  EXPECT_EQ(list[1].value, "9");
  EXPECT_EQ(list.remove("zz"), 0u);
  list.clear();
  EXPECT_TRUE(list.empty());
}

TEST(Counters, EveryOneHasANameOfItsOwn) {
  for (size_t i = 0; i < kCounters; ++i) {
    EXPECT_FALSE(to_string(static_cast<Counter>(i)).empty()) << i;
    for (size_t j = 0; j < i; ++j)
      EXPECT_NE(to_string(static_cast<Counter>(i)), to_string(static_cast<Counter>(j)));
  }
}

}  // namespace
}  // namespace sallyport::http
