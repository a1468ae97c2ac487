#include "proxy/socket_stock.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <memory>

namespace sallyport::proxy {
namespace {

std::vector<Fd> sockets(int count) {
  std::vector<Fd> out;
  for (int i = 0; i < count; ++i) out.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  return out;
}

struct Waiting final : SocketWaiter {
  void on_socket(Fd socket) override { got = std::move(socket); }
  void on_no_socket() override { refused = true; }
  Fd got;
  bool refused = false;
};

class SocketStockTest : public ::testing::Test {
 protected:
  int asked_ = 0, times_ = 0;
  std::unique_ptr<SocketStock> stock_ = std::make_unique<SocketStock>([this](int count) {
    asked_ += count;
    ++times_;
  });
};

TEST_F(SocketStockTest, FillsInBatches) {
  stock_->fill();
  EXPECT_EQ(asked_, SocketStock::kBatch);
  stock_->fill();
  EXPECT_EQ(times_, 1);  // asked already
  stock_->add(sockets(SocketStock::kBatch));
  EXPECT_EQ(stock_->size(), static_cast<size_t>(SocketStock::kBatch));
}

TEST_F(SocketStockTest, AsksAgainAtTheLowMark) {
  stock_->fill();
  stock_->add(sockets(SocketStock::kBatch));
  std::vector<Fd> taken;
  while (stock_->size() > SocketStock::kLow) taken.push_back(stock_->take());
  EXPECT_EQ(times_, 1);
  taken.push_back(stock_->take());
  EXPECT_EQ(times_, 2);
}

TEST_F(SocketStockTest, WaitersAreServedInTurn) {
  EXPECT_FALSE(stock_->take());
  Waiting first, second;
  stock_->wait(first);
  {
    Waiting gone;
    stock_->wait(gone);
  }
  stock_->wait(second);
  stock_->add(sockets(1));
  EXPECT_TRUE(first.got);
  EXPECT_FALSE(second.got);
  stock_->add(sockets(2));
  EXPECT_TRUE(second.got);
  EXPECT_EQ(stock_->size(), 1U);
}

TEST_F(SocketStockTest, ManyWaitersAskForMore) {
  std::vector<std::unique_ptr<Waiting>> all;
  for (int i = 0; i < 100; ++i) {
    all.push_back(std::make_unique<Waiting>());
    stock_->wait(*all.back());
  }
  EXPECT_GE(asked_, 100);
  stock_->add(sockets(asked_));
  for (const auto& waiting : all) EXPECT_TRUE(waiting->got);
}

TEST_F(SocketStockTest, AWishWithoutAnswerIsMadeAgain) {
  stock_->fill();
  stock_->tend();
  EXPECT_EQ(times_, 1);
  for (int i = 0; i < 3; ++i) stock_->tend();
  EXPECT_EQ(times_, 2);
  stock_->add(sockets(SocketStock::kBatch));
  for (int i = 0; i < 5; ++i) stock_->tend();
  EXPECT_EQ(times_, 2);
}

TEST_F(SocketStockTest, ItsEndIsTold) {
  Waiting waiting;
  stock_->wait(waiting);
  stock_.reset();
  EXPECT_TRUE(waiting.refused);
}

}  // namespace
}  // namespace sallyport::proxy
