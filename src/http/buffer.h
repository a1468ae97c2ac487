// Byte buffers over blocks that a worker keeps for reuse. One thread each; no locks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace sallyport::http {

using Bytes = std::span<const uint8_t>;

// Blocks of 4, 16, 64 and 256 KiB; larger ones go back to the system at once. Counts what is out,
// so that a worker knows how much of its memory budget is used.
class BufferPool {
 public:
  BufferPool() = default;
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  ~BufferPool();

  struct Block {
    uint8_t* data = nullptr;
    size_t size = 0;
  };
  Block take(size_t least);
  void give(Block block);

  [[nodiscard]] size_t in_use() const { return in_use_; }  // bytes of blocks that buffers hold
  [[nodiscard]] size_t kept() const { return kept_; }      // bytes of blocks waiting for reuse
  void shrink();                                           // gives the kept blocks back

 private:
  struct Free {
    Free* next;
  };
  static constexpr std::array<size_t, 4> kSizes = {4 << 10, 16 << 10, 64 << 10, 256 << 10};
  static constexpr size_t kKeepMost = 8 << 20;  // beyond that blocks go back to the system
  std::array<Free*, kSizes.size()> free_{};
  size_t in_use_ = 0, kept_ = 0;
};

// Contiguous bytes, appended at the end and consumed at the front. An empty buffer holds no block.
// Growing moves the bytes: views do not outlive append(), prepare() and consume().
class ByteBuffer {
 public:
  explicit ByteBuffer(BufferPool& pool) : pool_(&pool) {}
  ByteBuffer(ByteBuffer&& other) noexcept;
  ByteBuffer& operator=(ByteBuffer&& other) noexcept;
  ByteBuffer(const ByteBuffer&) = delete;
  ByteBuffer& operator=(const ByteBuffer&) = delete;
  ~ByteBuffer() { clear(); }

  [[nodiscard]] size_t size() const { return end_ - begin_; }
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  [[nodiscard]] const uint8_t* data() const { return block_.data + begin_; }
  [[nodiscard]] Bytes bytes() const { return {data(), size()}; }
  [[nodiscard]] std::string_view text() const {
    return {reinterpret_cast<const char*>(data()), size()};
  }

  void consume(size_t count);
  void clear();  // drops the bytes and the block

  // At least `least` bytes of room at the end; commit() says how many were filled. A prepare() that
  // filled nothing ends with commit(0), which gives the block back where the buffer is empty.
  std::span<uint8_t> prepare(size_t least);
  void commit(size_t count);

  void append(const void* bytes, size_t count) {
    if (count == 0) return;
    if (block_.size - end_ < count) make_room(count);
    std::memcpy(block_.data + end_, bytes, count);
    end_ += count;
  }
  void append(std::string_view text) { append(text.data(), text.size()); }
  void append(Bytes bytes) { append(bytes.data(), bytes.size()); }
  void append(char c) { append(&c, 1); }

 private:
  void make_room(size_t least);

  BufferPool* pool_;
  BufferPool::Block block_;
  size_t begin_ = 0, end_ = 0;
};

}  // namespace sallyport::http
