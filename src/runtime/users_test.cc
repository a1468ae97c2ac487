#include "runtime/users.h"

#include <gtest/gtest.h>

namespace sallyport::runtime {
namespace {

constexpr const char* kPasswd =
    "root:x:0:0:root:/root:/bin/bash\nwww:x:33:44:www:/var/www:/usr/sbin/nologin\n"
    "short:x:50\nodd:x:60:abc::relative:/bin/sh\nlast:x:70:71::/home/last:/bin/sh";

TEST(UsersTest, FindsGroupAndHome) {
  EXPECT_EQ(find_user_in(kPasswd, 0).home, "/root");
  EXPECT_EQ(find_user_in(kPasswd, 33).gid, 44);
  EXPECT_EQ(find_user_in(kPasswd, 33).home, "/var/www");
  EXPECT_EQ(find_user_in(kPasswd, 70).gid, 71);
}

TEST(UsersTest, UnknownAndDamagedEntries) {
  for (int uid : {1234, 50}) {
    EXPECT_EQ(find_user_in(kPasswd, uid).gid, 0);
    EXPECT_EQ(find_user_in(kPasswd, uid).home, "/");
  }
  EXPECT_EQ(find_user_in(kPasswd, 60).gid, 0);
  EXPECT_EQ(find_user_in(kPasswd, 60).home, "/");
  EXPECT_EQ(find_user("/no/such/file", 0).home, "/");
}

}  // namespace
}  // namespace sallyport::runtime
