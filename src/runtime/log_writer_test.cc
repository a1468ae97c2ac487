#include "runtime/log_writer.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"

namespace sallyport::runtime {
namespace {

class LogWriterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/sallyport-log-XXXXXX";
    ASSERT_TRUE(::mkdtemp(pattern));
    dir_ = pattern;
    path_ = dir_ + "/c.log";
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(dir_)); }
  std::string content(const std::string& suffix = "") {
    return read_file(path_ + suffix).value_or("(none)");
  }
  static constexpr const char* kStamp = "2026-01-02T03:04:05.000006000Z ";
  WallTime now_ = WallTime() + std::chrono::seconds(1767323045) + std::chrono::microseconds(6);
  std::string dir_, path_;
};

TEST_F(LogWriterTest, LinesOfBothStreamsInCriForm) {
  LogWriter log(path_);
  log.append(false, "one\ntw", now_);
  log.append(true, "bad\n", now_);
  log.append(false, "o\n\nend", now_);
  EXPECT_EQ(content(), std::string(kStamp) + "stdout F one\n" + kStamp + "stderr F bad\n" + kStamp +
                           "stdout F two\n" + kStamp + "stdout F \n");
  log.flush(now_);
  EXPECT_TRUE(content().ends_with("stdout F end\n"));
  struct stat st{};
  ASSERT_EQ(::stat(path_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
}

TEST_F(LogWriterTest, LongLinesComeInParts) {
  std::string exact(LogWriter::kLineLimit, 'x');
  {
    LogWriter log(path_);
    log.append(false, exact, now_);
    log.append(false, "\n", now_);
    EXPECT_EQ(content(), std::string(kStamp) + "stdout F " + exact + "\n");
  }
  ::unlink(path_.c_str());
  LogWriter log(path_);
  for (char c : exact + "yz\n") log.append(false, std::string_view(&c, 1), now_);
  EXPECT_EQ(content(), std::string(kStamp) + "stdout P " + exact + "\n" + kStamp + "stdout F yz\n");
}

TEST_F(LogWriterTest, RotatesAndStaysBounded) {
  LogWriter log(path_, 1000);
  for (int i = 0; i < 500; ++i) log.append(false, "line " + std::to_string(i) + "\n", now_);
  EXPECT_LE(content().size(), 1000u);
  EXPECT_LE(content(".1").size(), 1000u);
  EXPECT_GT(content(".1").size(), 900u);
  EXPECT_TRUE(content().ends_with("stdout F line 499\n"));
  EXPECT_EQ(list_dir(dir_)->size(), 2u);
}

TEST_F(LogWriterTest, GoesOnWithAnExistingFile) {
  LogWriter(path_).append(false, "before\n", now_);
  LogWriter(path_).append(false, "after\n", now_);
  EXPECT_EQ(content(), std::string(kStamp) + "stdout F before\n" + kStamp + "stdout F after\n");
}

TEST_F(LogWriterTest, LosesLinesWhereItCannotWrite) {
  LogWriter log("/no/such/directory/c.log");
  log.append(false, "line\n", now_);
  log.flush(now_);
  EXPECT_FALSE(exists("/no"));
}

}  // namespace
}  // namespace sallyport::runtime
