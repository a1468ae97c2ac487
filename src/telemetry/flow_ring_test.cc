#include "telemetry/flow_ring.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cstring>
#include <thread>

namespace sallyport::telemetry {
namespace {

std::unique_ptr<FlowRing> made(size_t records) {
  auto ring = FlowRing::create(records);
  EXPECT_TRUE(ring.has_value()) << ring.error().message;
  return std::move(*ring);
}

std::unique_ptr<FlowRing> opened(const FlowRing& ring) {
  auto other = FlowRing::open(Fd(fcntl(ring.fd().get(), F_DUPFD_CLOEXEC, 0)));
  EXPECT_TRUE(other.has_value()) << other.error().message;
  return std::move(*other);
}

TEST(FlowRing, HandsRecordsOverInOrder) {
  auto reader = made(8);
  auto writer = opened(*reader);
  FlowRecord out;
  EXPECT_FALSE(reader->pop(out));
  for (uint64_t round = 0; round < 5; ++round) {
    for (uint64_t i = 0; i < 7; ++i) {
      FlowRecord record;
      record.time_ns = round * 100 + i;
      record.rule = static_cast<int16_t>(i);
      std::strcpy(record.path, "/v1/completions");
      writer->push(record);
    }
    for (uint64_t i = 0; i < 7; ++i) {
      ASSERT_TRUE(reader->pop(out));
      EXPECT_EQ(out.time_ns, round * 100 + i);
      EXPECT_EQ(out.rule, static_cast<int16_t>(i));
      EXPECT_STREQ(out.path, "/v1/completions");
    }
    EXPECT_FALSE(reader->pop(out));
  }
  EXPECT_EQ(reader->lost(), 0u);
}

TEST(FlowRing, FullRingLosesTheNewestAndCounts) {
  auto reader = made(5);  // rounded up to 8
  auto writer = opened(*reader);
  for (uint64_t i = 0; i < 11; ++i) {
    FlowRecord record;
    record.time_ns = i;
    writer->push(record);
  }
  EXPECT_EQ(reader->lost(), 3u);
  EXPECT_EQ(writer->lost(), 3u);
  FlowRecord out;
  for (uint64_t i = 0; i < 8; ++i) {
    ASSERT_TRUE(reader->pop(out));
    EXPECT_EQ(out.time_ns, i);
  }
  EXPECT_FALSE(reader->pop(out));
}

TEST(FlowRing, RefusesSizesAndForeignFiles) {
  EXPECT_FALSE(FlowRing::create(0).has_value());
  EXPECT_FALSE(FlowRing::create(size_t{1} << 40).has_value());
  EXPECT_FALSE(FlowRing::open(Fd()).has_value());

  Fd unsealed(memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(ftruncate(unsealed.get(), 1 << 16), 0);
  EXPECT_FALSE(FlowRing::open(std::move(unsealed)).has_value());

  Fd garbage(memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(ftruncate(garbage.get(), lseek(made(8)->fd().get(), 0, SEEK_END)), 0);
  ASSERT_EQ(fcntl(garbage.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
  EXPECT_FALSE(FlowRing::open(std::move(garbage)).has_value());
}

// The file cannot be shrunk under the reader.
TEST(FlowRing, IsSealed) {
  auto ring = made(8);
  EXPECT_NE(ftruncate(ring->fd().get(), 0), 0);
  EXPECT_NE(ftruncate(ring->fd().get(), 1 << 24), 0);
}

// A writer that has been taken over: everything in the memory is noise, again and again.
TEST(FlowRing, ReaderSurvivesAHostileWriter) {
  auto reader = made(16);
  const auto size = static_cast<size_t>(lseek(reader->fd().get(), 0, SEEK_END));
  auto* memory = static_cast<unsigned char*>(
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, reader->fd().get(), 0));
  ASSERT_NE(memory, MAP_FAILED);
  uint64_t state = 1;
  int popped = 0;
  for (int round = 0; round < 200; ++round) {
    uint64_t position = 0;  // what the reader published last; it stands at byte 128
    std::memcpy(&position, memory + 128, sizeof(position));
    for (size_t i = 0; i < size; ++i) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      memory[i] = static_cast<unsigned char>(state >> 56);
    }
    // Half of the rounds claim a plausible number of records. `written` stands at byte 64.
    if (round % 2 == 0) {
      const uint64_t written = position + 16;
      std::memcpy(memory + 64, &written, sizeof(written));
    }
    FlowRecord out;
    for (int i = 0; i < 64 && reader->pop(out); ++i) {
      ++popped;
      EXPECT_LT(std::strlen(out.path), sizeof(out.path));
      EXPECT_LT(std::strlen(out.peer), sizeof(out.peer));
      for (const char c : std::string_view(out.policy)) EXPECT_GE(c, 0x20);
      EXPECT_GE(static_cast<int>(out.kind), 1);
      EXPECT_LE(static_cast<int>(out.kind), 4);
      EXPECT_LE(out.allow, 1);
      EXPECT_LE(out.protocol, 3);
    }
  }
  EXPECT_GT(popped, 0);
  munmap(memory, size);
}

// A reader that has been taken over cannot make the writer run out of the ring.
TEST(FlowRing, WriterSurvivesAHostileReader) {
  auto ring = made(8);
  auto writer = opened(*ring);
  const auto size = static_cast<size_t>(lseek(ring->fd().get(), 0, SEEK_END));
  auto* memory = static_cast<unsigned char*>(
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd().get(), 0));
  ASSERT_NE(memory, MAP_FAILED);
  for (uint64_t i = 0; i < 64; ++i) {
    const uint64_t lie = i * 0x0123456789abcdefULL;
    std::memcpy(memory + 128, &lie, sizeof(lie));
    std::memcpy(memory + 8, &lie, sizeof(lie));  // the size that the header names
    writer->push(FlowRecord{});
  }
  EXPECT_GT(writer->lost(), 0u);
  munmap(memory, size);
}

// Run under ThreadSanitizer too: two mappings of one file, a thread at each end.
TEST(FlowRing, ConcurrentEndsAgree) {
  auto reader = made(64);
  auto writer = opened(*reader);
  constexpr uint64_t kCount = 20'000;
  std::jthread producer([&] {
    for (uint64_t i = 1; i <= kCount; ++i) {
      FlowRecord record;
      record.time_ns = i;
      record.duration_ns = i * 3;
      record.generation = i * 7;
      writer->push(record);
      if (i % 64 == 0) std::this_thread::yield();
    }
  });
  uint64_t seen = 0, last = 0;
  FlowRecord out;
  while (seen + reader->lost() < kCount) {
    if (!reader->pop(out)) {
      std::this_thread::yield();
      continue;
    }
    ASSERT_GT(out.time_ns, last);
    ASSERT_EQ(out.duration_ns, out.time_ns * 3);
    ASSERT_EQ(out.generation, out.time_ns * 7);
    last = out.time_ns;
    ++seen;
  }
  EXPECT_GT(seen, 0u);
  EXPECT_EQ(seen + reader->lost(), kCount);
}

TEST(FlowRing, WorksAcrossProcesses) {
  auto reader = made(1024);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto writer = FlowRing::open(Fd(dup(reader->fd().get())));
    if (!writer) _exit(1);
    for (uint64_t i = 0; i < 1000; ++i) {
      FlowRecord record;
      record.time_ns = i;
      (*writer)->push(record);
    }
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  FlowRecord out;
  for (uint64_t i = 0; i < 1000; ++i) {
    ASSERT_TRUE(reader->pop(out));
    ASSERT_EQ(out.time_ns, i);
  }
}

}  // namespace
}  // namespace sallyport::telemetry
