#include "codec/base64.h"

#include <gtest/gtest.h>

namespace sallyport::codec {
namespace {

TEST(Base64, RoundTripsRfc4648Vectors) {
  constexpr std::pair<std::string_view, std::string_view> kVectors[] = {{"", ""},
                                                                        {"f", "Zg=="},
                                                                        {"fo", "Zm8="},
                                                                        {"foo", "Zm9v"},
                                                                        {"foob", "Zm9vYg=="},
                                                                        {"fooba", "Zm9vYmE="},
                                                                        {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, text] : kVectors) {
    EXPECT_EQ(encode_base64(plain), text);
    EXPECT_EQ(decode_base64(text), plain);
  }
  EXPECT_EQ(decode_base64("Zm9v\nYmFy\n"), "foobar");
}

TEST(Base64, RefusesWrongText) {
  for (std::string_view text :
       {"Z", "Zg", "Zg=", "Zg===", "=", "====", "Zm9v=", "Zg==Zg==", "Z g=", "-_=="})
    EXPECT_FALSE(decode_base64(text)) << text;
}

}  // namespace
}  // namespace sallyport::codec
