#include "dns/records.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <cstdlib>
#include <filesystem>

#include "base/fs.h"

namespace sallyport::dns {
namespace {

class RecordsFile : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sallyport-records-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    dir_ = name;
    path_ = dir_ + "/records";
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  void write(const std::string& address) const {
    Zone zone;
    zone.addresses["a.cluster.local"] = {*Ip::parse(address)};
    ASSERT_TRUE(write_file_atomic(path_, write_zone(zone)).has_value());
  }
  static std::string address(const Records& records) {
    return records.zone().addresses.at("a.cluster.local").at(0).to_string();
  }
  static bool woken(const Records& records) {
    pollfd state{records.watch_fd(), POLLIN, 0};
    return ::poll(&state, 1, 0) == 1;
  }
  std::string dir_, path_;
};

TEST_F(RecordsFile, ReadsAgainWhenReplaced) {
  write("198.18.0.1");
  auto records = Records::open(path_);
  ASSERT_TRUE(records.has_value());
  EXPECT_EQ(address(*records), "198.18.0.1");
  EXPECT_TRUE(records->zone().parents.contains("cluster.local"));
  EXPECT_FALSE(woken(*records));
  write("198.18.0.2");
  EXPECT_TRUE(woken(*records));
  records->refresh();
  EXPECT_EQ(address(*records), "198.18.0.2");
  EXPECT_FALSE(woken(*records)) << "events stay and keep the loop busy";
}

TEST_F(RecordsFile, AWrongOrMissingFileLeavesTheRecords) {
  write("198.18.0.1");
  auto records = Records::open(path_);
  ASSERT_TRUE(records.has_value());
  ASSERT_TRUE(write_file_atomic(path_, "sallyport-dns 1\ndomain cluster.local\n").has_value());
  records->refresh();
  EXPECT_EQ(address(*records), "198.18.0.1");
  std::filesystem::remove(path_);
  records->refresh();
  EXPECT_EQ(address(*records), "198.18.0.1");
  write("198.18.0.3");
  records->refresh();
  EXPECT_EQ(address(*records), "198.18.0.3");
}

TEST_F(RecordsFile, FollowsLinksThatAreReplaced) {
  // As kubelet projects a ConfigMap: the file is a link through a link to a directory.
  std::filesystem::create_directories(dir_ + "/one");
  std::filesystem::create_directories(dir_ + "/two");
  write("198.18.0.1");
  std::filesystem::rename(path_, dir_ + "/one/records");
  write("198.18.0.2");
  std::filesystem::rename(path_, dir_ + "/two/records");
  std::filesystem::create_symlink("one", dir_ + "/data");
  std::filesystem::create_symlink("data/records", path_);
  auto records = Records::open(path_);
  ASSERT_TRUE(records.has_value());
  EXPECT_EQ(address(*records), "198.18.0.1");
  std::filesystem::create_symlink("two", dir_ + "/data.new");
  std::filesystem::rename(dir_ + "/data.new", dir_ + "/data");
  EXPECT_TRUE(woken(*records));
  records->refresh();
  EXPECT_EQ(address(*records), "198.18.0.2");
}

TEST_F(RecordsFile, MustBeReadableAtTheStart) {
  EXPECT_FALSE(Records::open(path_).has_value());
  ASSERT_TRUE(write_file_atomic(path_, "nonsense\n").has_value());
  auto records = Records::open(path_);
  ASSERT_FALSE(records.has_value());
  EXPECT_EQ(records.error().message, path_ + ": line 1: expected \"sallyport-dns 1\"");
}

}  // namespace
}  // namespace sallyport::dns
