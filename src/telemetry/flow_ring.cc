#include "telemetry/flow_ring.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <type_traits>

namespace sallyport::telemetry {
namespace {

static_assert(std::is_trivially_copyable_v<FlowRecord>);
static_assert(sizeof(FlowRecord) % sizeof(uint64_t) == 0);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

constexpr uint64_t kMagic = 0x31676e6972777053;  // "Spwring1"
constexpr size_t kMaxRecords = size_t{1} << 20;
constexpr size_t kWords = sizeof(FlowRecord) / sizeof(uint64_t);

// The two positions only grow; they lie on lines of their own, because each is written by one side.
struct Header {
  uint64_t magic = kMagic;
  uint64_t records = 0;
  alignas(64) std::atomic<uint64_t> written{0};
  std::atomic<uint64_t> lost{0};
  alignas(64) std::atomic<uint64_t> read{0};
};

// Records are moved word by word through relaxed atomics: the other process may write at any time,
// whatever the protocol says, and that must not be undefined behaviour here.
struct Slot {
  std::atomic<uint64_t> words[kWords];
};

size_t bytes_for(uint64_t records) {
  return sizeof(Header) + records * sizeof(Slot);
}

// A record of another process may hold anything: texts end, numbers stay in their ranges.
template <size_t N>
void sanitize(char (&text)[N]) {
  size_t i = 0;
  for (; i < N - 1 && text[i] != '\0'; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte >= 0x7f) text[i] = '?';
  }
  std::fill(text + i, text + N, '\0');
}

void sanitize(FlowRecord& record) {
  if (record.kind < FlowKind::kRequest || record.kind > FlowKind::kClosed) {
    record.kind = FlowKind::kConnection;
  }
  record.inbound = record.inbound != 0;
  record.allow = record.allow != 0;
  record.audited = record.audited != 0;
  record.network_denied = record.network_denied != 0;
  record.protocol = std::min<uint8_t>(record.protocol, 3);
  sanitize(record.policy);
  sanitize(record.reason);
  sanitize(record.peer);
  sanitize(record.method);
  sanitize(record.path);
  sanitize(record.host);
}

class SharedRing : public FlowRing {
 public:
  SharedRing(Fd fd, void* memory, uint64_t records)
      : fd_(std::move(fd)),
        memory_(memory),
        records_(records),
        header_(static_cast<Header*>(memory)),
        slots_(reinterpret_cast<Slot*>(static_cast<char*>(memory) + sizeof(Header))) {}
  ~SharedRing() override { munmap(memory_, bytes_for(records_)); }
  SharedRing(const SharedRing&) = delete;
  SharedRing& operator=(const SharedRing&) = delete;

  [[nodiscard]] const Fd& fd() const override { return fd_; }

  void push(const FlowRecord& record) override {
    const uint64_t written = header_->written.load(std::memory_order_relaxed);
    const uint64_t read = header_->read.load(std::memory_order_acquire);
    // Unsigned: a reader's position beyond ours counts as a full ring.
    if (written - read >= records_) {
      header_->lost.store(header_->lost.load(std::memory_order_relaxed) + 1,
                          std::memory_order_relaxed);
      return;
    }
    uint64_t words[kWords];
    std::memcpy(words, &record, sizeof(record));
    Slot& slot = slots_[written & (records_ - 1)];
    for (size_t i = 0; i < kWords; ++i) slot.words[i].store(words[i], std::memory_order_relaxed);
    header_->written.store(written + 1, std::memory_order_release);
  }

  bool pop(FlowRecord& record) override {
    const uint64_t written = header_->written.load(std::memory_order_acquire);
    // Our own position is kept here; the shared one only tells the writer.
    uint64_t waiting = written - read_;
    if (waiting == 0) return false;
    if (waiting > records_) {
      // Impossible for an honest writer. Start again at its position, whatever it is.
      skipped_ += 1;
      read_ = written;
      header_->read.store(read_, std::memory_order_release);
      return false;
    }
    uint64_t words[kWords];
    const Slot& slot = slots_[read_ & (records_ - 1)];
    for (size_t i = 0; i < kWords; ++i) words[i] = slot.words[i].load(std::memory_order_relaxed);
    std::memcpy(static_cast<void*>(&record), words, sizeof(record));
    sanitize(record);
    ++read_;
    header_->read.store(read_, std::memory_order_release);
    return true;
  }

  [[nodiscard]] uint64_t lost() const override {
    return header_->lost.load(std::memory_order_relaxed) + skipped_;
  }

 private:
  Fd fd_;
  void* memory_;
  uint64_t records_;  // a power of two; never read from the shared memory again
  Header* header_;
  Slot* slots_;
  uint64_t read_ = 0;     // the reader's
  uint64_t skipped_ = 0;  // the reader's
};

Result<void*> map(const Fd& fd, size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return fail_errno("mapping a flow ring");
  return memory;
}

}  // namespace

Result<std::unique_ptr<FlowRing>> FlowRing::create(size_t records) {
  if (records == 0 || records > kMaxRecords) {
    return fail(Code::kInvalid, "a flow ring has 1 to " + std::to_string(kMaxRecords) +
                                    " records, not " + std::to_string(records));
  }
  const uint64_t rounded = std::bit_ceil(records);
  const size_t bytes = bytes_for(rounded);
  Fd fd(memfd_create("sallyport-flows", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return fail_errno("memfd_create for a flow ring");
  if (ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) {
    return fail_errno("sizing a flow ring");
  }
  // Without these the other side could shrink the file and end this process by SIGBUS.
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return fail_errno("sealing a flow ring");
  }
  SP_TRY(void* memory, map(fd, bytes));
  auto* header = new (memory) Header;
  header->records = rounded;
  return std::make_unique<SharedRing>(std::move(fd), memory, rounded);
}

Result<std::unique_ptr<FlowRing>> FlowRing::open(Fd memfd) {
  const int seals = fcntl(memfd.get(), F_GET_SEALS);
  if (seals < 0) return fail_errno("reading the seals of a flow ring");
  if ((seals & F_SEAL_SHRINK) == 0) {
    return fail(Code::kInvalid, "a flow ring must be sealed against shrinking");
  }
  struct stat info{};
  if (fstat(memfd.get(), &info) != 0) return fail_errno("fstat of a flow ring");
  const auto size = static_cast<uint64_t>(info.st_size);
  if (size < sizeof(Header)) return fail(Code::kInvalid, "a flow ring is too small");
  const uint64_t records = (size - sizeof(Header)) / sizeof(Slot);
  if (!std::has_single_bit(records) || records > kMaxRecords || bytes_for(records) != size) {
    return fail(Code::kInvalid, "a flow ring has an impossible size");
  }
  SP_TRY(void* memory, map(memfd, size));
  const auto* header = static_cast<const Header*>(memory);
  if (header->magic != kMagic || header->records != records) {
    munmap(memory, size);
    return fail(Code::kInvalid, "a file that is not a flow ring of this version");
  }
  return std::make_unique<SharedRing>(std::move(memfd), memory, records);
}

}  // namespace sallyport::telemetry
