#include "standalone/mailbox.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <chrono>

namespace sallyport::standalone {
namespace {

TEST(Mailbox, WorkOfAThreadRunsInTheLoop) {
  Mailbox mailbox;
  auto loop = std::this_thread::get_id();
  std::thread::id ran;
  ASSERT_TRUE(mailbox.spawn([&] { mailbox.post([&] { ran = std::this_thread::get_id(); }); }));
  pollfd fd{mailbox.fd(), POLLIN, 0};
  ASSERT_EQ(::poll(&fd, 1, 5000), 1);
  EXPECT_NE(ran, loop) << "not before run()";
  mailbox.run();
  EXPECT_EQ(ran, loop);
  EXPECT_EQ(::poll(&fd, 1, 0), 0) << "all was taken";
}

TEST(Mailbox, TooManyThreadsAreRefusedUntilSomeHaveEnded) {
  std::atomic<bool> go = false;
  Mailbox mailbox;
  int threads = 0;
  while (threads < 1000 && mailbox.spawn([&] {
    while (!go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }))
    ++threads;
  EXPECT_EQ(threads, 128);
  EXPECT_FALSE(mailbox.idle());
  go = true;
  for (int i = 0; i < 5000 && !mailbox.idle(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_TRUE(mailbox.idle());
  EXPECT_TRUE(mailbox.spawn([] {}));
}

TEST(Mailbox, JoinWaitsForWhatRuns) {
  Mailbox mailbox;
  std::atomic<bool> done = false;
  ASSERT_TRUE(mailbox.spawn([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    done = true;
  }));
  mailbox.join();
  EXPECT_TRUE(done);
  EXPECT_TRUE(mailbox.idle());
}

}  // namespace
}  // namespace sallyport::standalone
