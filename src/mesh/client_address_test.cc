#include "mesh/client_address.h"

#include <gtest/gtest.h>

#include <vector>

namespace sallyport::mesh {
namespace {

std::string client(const std::vector<std::string_view>& values, int trusted) {
  std::vector<authz::HeaderField> headers{{"x-other", "198.18.9.9"}};
  for (std::string_view value : values) headers.push_back({"x-forwarded-for", value});
  headers.push_back({"x-last", "198.18.8.8"});
  return client_address(headers, Ip::v4(0xc6120001), trusted).to_string();
}

TEST(ClientAddress, TheNthFromTheRight) {
  const std::string peer = "198.18.0.1";
  EXPECT_EQ(client({"198.18.1.1"}, 0), peer);
  EXPECT_EQ(client({}, 1), peer);
  EXPECT_EQ(client({"198.18.1.1"}, 1), "198.18.1.1");
  EXPECT_EQ(client({"198.18.1.1, 198.18.1.2"}, 1), "198.18.1.2");
  EXPECT_EQ(client({"198.18.1.1, 198.18.1.2"}, 2), "198.18.1.1");
  EXPECT_EQ(client({"198.18.1.1, 198.18.1.2"}, 3), peer);
  EXPECT_EQ(client({"198.18.1.1", "fd00::2 ,198.18.1.3"}, 2), "fd00::2");
  EXPECT_EQ(client({"198.18.1.1", "fd00::2 ,198.18.1.3"}, 3), "198.18.1.1");
  EXPECT_EQ(client({"198.18.1.1,"}, 1), peer) << "an empty entry is no address";
  EXPECT_EQ(client({"unknown"}, 1), peer);
  EXPECT_EQ(client({"198.18.1.1:80"}, 1), peer);
  EXPECT_EQ(client({""}, 1), peer);
}

}  // namespace
}  // namespace sallyport::mesh
