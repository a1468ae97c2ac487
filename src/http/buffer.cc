#include "http/buffer.h"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

namespace sallyport::http {

BufferPool::~BufferPool() {
  shrink();
}

BufferPool::Block BufferPool::take(size_t least) {
  for (size_t i = 0; i < kSizes.size(); ++i) {
    if (kSizes[i] < least) continue;
    in_use_ += kSizes[i];
    if (Free* block = free_[i]) {
      free_[i] = block->next;
      kept_ -= kSizes[i];
      return {reinterpret_cast<uint8_t*>(block), kSizes[i]};
    }
    return {static_cast<uint8_t*>(::operator new(kSizes[i])), kSizes[i]};
  }
  const size_t size = std::bit_ceil(least);
  in_use_ += size;
  return {static_cast<uint8_t*>(::operator new(size)), size};
}

void BufferPool::give(Block block) {
  if (block.data == nullptr) return;
  in_use_ -= block.size;
  for (size_t i = 0; i < kSizes.size(); ++i) {
    if (kSizes[i] != block.size || kept_ + block.size > kKeepMost) continue;
    free_[i] = new (block.data) Free{free_[i]};
    kept_ += block.size;
    return;
  }
  ::operator delete(block.data);
}

void BufferPool::shrink() {
  for (Free*& list : free_)
    while (list != nullptr) ::operator delete(std::exchange(list, list->next));
  kept_ = 0;
}

ByteBuffer::ByteBuffer(ByteBuffer&& other) noexcept
    : pool_(other.pool_),
      block_(std::exchange(other.block_, {})),
      begin_(std::exchange(other.begin_, 0)),
      end_(std::exchange(other.end_, 0)) {}

ByteBuffer& ByteBuffer::operator=(ByteBuffer&& other) noexcept {
  if (this == &other) return *this;
  clear();
  pool_ = other.pool_;
  block_ = std::exchange(other.block_, {});
  begin_ = std::exchange(other.begin_, 0);
  end_ = std::exchange(other.end_, 0);
  return *this;
}

void ByteBuffer::consume(size_t count) {
  begin_ += count;
  if (begin_ >= end_) clear();
}

void ByteBuffer::clear() {
  pool_->give(std::exchange(block_, {}));
  begin_ = end_ = 0;
}

std::span<uint8_t> ByteBuffer::prepare(size_t least) {
  if (block_.size - end_ < least) make_room(least);
  return {block_.data + end_, block_.size - end_};
}

void ByteBuffer::commit(size_t count) {
  end_ += count;
  if (begin_ == end_) clear();
}

void ByteBuffer::make_room(size_t least) {
  const size_t held = size();
  // Moving to the front is only worth it where much was consumed; otherwise a long buffer that is
  // drained in small steps would be moved again and again.
  if (block_.size != 0 && held <= block_.size / 2 && block_.size - held >= least) {
    std::memmove(block_.data, block_.data + begin_, held);
  } else {
    const BufferPool::Block bigger = pool_->take(std::max(held + least, block_.size));
    if (held != 0) std::memcpy(bigger.data, block_.data + begin_, held);
    pool_->give(std::exchange(block_, bigger));
  }
  begin_ = 0;
  end_ = held;
}

}  // namespace sallyport::http
