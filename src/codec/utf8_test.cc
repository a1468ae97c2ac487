#include "codec/utf8.h"

#include <gtest/gtest.h>

namespace sallyport::codec {
namespace {

TEST(Utf8, RoundTripsTheEdgesOfEveryLength) {
  for (uint32_t code :
       {0x0u, 0x7fu, 0x80u, 0x7ffu, 0x800u, 0xd7ffu, 0xe000u, 0xffffu, 0x10000u, 0x10ffffu}) {
    std::string text;
    append_utf8(text, code);
    size_t pos = 0;
    EXPECT_EQ(next_code_point(text, pos), code);
    EXPECT_EQ(pos, text.size());
    EXPECT_TRUE(is_utf8(text));
  }
}

TEST(Utf8, RefusesOverlongSurrogatesAndBrokenSequences) {
  for (std::string_view text :
       {"\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\x80", "\xe2\x82", "\xc3(", "\xff"}) {
    size_t pos = 0;
    EXPECT_EQ(next_code_point(text, pos), kInvalidCodePoint) << text.size();
    EXPECT_EQ(pos, 1u);
    EXPECT_FALSE(is_utf8(text));
  }
}

}  // namespace
}  // namespace sallyport::codec
