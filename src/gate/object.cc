#include "gate/object.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>

#include <array>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <memory>
#include <string_view>
#include <thread>

#include "base/strings.h"

extern "C" {
extern const unsigned char sallyport_gate_object[];
extern const unsigned long sallyport_gate_object_size;
}

namespace sallyport::gate {

namespace {

// Not in the kernel headers that Debian 12 has (uapi/linux/bpf.h of 6.4).
constexpr int kProgramTypeNetfilter = 32;
constexpr int kAttachNetfilter = 45;

constexpr std::array kMapNames = {"control", "endpoints", "interfaces",  "prefixes",   "programs",
                                  "pieces",  "offers",    "connections", "quotas",     "limits",
                                  "totals",  "rules",     "drops",       "denials",    "events",
                                  "meta",    "scratch",   "slots",       "free_slots", "sweep",
                                  "tls",     "tls_names"};

struct CloseObject {
  void operator()(bpf_object* object) const { ::bpf_object__close(object); }
};
using ObjectPtr = std::unique_ptr<bpf_object, CloseObject>;

// libbpf speaks through one callback for the whole process; what it says is kept per thread, for
// the error message of the call that failed.
thread_local std::string* words = nullptr;

[[gnu::format(printf, 2, 0)]] int keep_words(libbpf_print_level level, const char* format,
                                             va_list arguments) {
  if (words == nullptr || level == LIBBPF_DEBUG) return 0;
  std::array<char, 2048> line{};
  const int n = std::vsnprintf(line.data(), line.size(), format, arguments);
  words->append(line.data());
  constexpr size_t kMost = 4096;
  if (words->size() > kMost) words->erase(0, words->size() - kMost);
  return n;
}

class KeepWords {
 public:
  KeepWords() {
    words = &text_;
    ::libbpf_set_print(keep_words);
  }
  ~KeepWords() { words = nullptr; }
  KeepWords(const KeepWords&) = delete;
  KeepWords& operator=(const KeepWords&) = delete;
  [[nodiscard]] std::string_view text() const { return trim(text_); }

 private:
  std::string text_;
};

std::unexpected<Error> load_error(std::string_view what, int err, const KeepWords& said) {
  auto error = fail_errno(what, err).error();
  if (!said.text().empty()) error.message += "; the loader says: " + std::string(said.text());
  return std::unexpected(std::move(error));
}

Status prepare_maps(bpf_object* object, const LoadOptions& options) {
  for (const char* name : kMapNames) {
    bpf_map* map = ::bpf_object__find_map_by_name(object, name);
    if (map == nullptr)
      return fail(Code::kInternal, std::string("the gate's object has no map ") + name);
    if (options.reuse != nullptr) {
      const auto known = options.reuse->find(name);
      if (known == options.reuse->end())
        return fail(Code::kInternal, std::string("the pinned map ") + name + " is missing");
      if (const int err = ::bpf_map__reuse_fd(map, known->second.get()); err != 0)
        return fail_errno(std::string("taking over the pinned map ") + name, -err);
    }
  }
  if (options.reuse == nullptr) {
    for (const char* name : {"connections", "slots", "free_slots"})
      ::bpf_map__set_max_entries(::bpf_object__find_map_by_name(object, name),
                                 options.max_connections);
    ::bpf_map__set_max_entries(::bpf_object__find_map_by_name(object, "quotas"),
                               options.max_endpoints + 1);
  }
  return {};
}

}  // namespace

std::span<const char* const> map_names() {
  return kMapNames;
}

std::span<const unsigned char> gate_object() {
  return {static_cast<const unsigned char*>(sallyport_gate_object), sallyport_gate_object_size};
}

uint64_t object_hash(std::span<const unsigned char> object) {
  return fnv1a({reinterpret_cast<const char*>(object.data()), object.size()});
}

Result<Fd> duplicate(int fd) {
  Fd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy) return fail_errno("duplicating a descriptor");
  return copy;
}

Result<LoadedObject> load_object(std::span<const unsigned char> bytes, const LoadOptions& options) {
  const KeepWords said;
  const ObjectPtr object(::bpf_object__open_mem(bytes.data(), bytes.size(), nullptr));
  if (!object) return load_error("opening the gate's BPF object", errno, said);
  bpf_program* gate = ::bpf_object__find_program_by_name(object.get(), "sallyport_gate");
  bpf_program* forget = ::bpf_object__find_program_by_name(object.get(), "sallyport_forget");
  bpf_program* start = ::bpf_object__find_program_by_name(object.get(), "sallyport_start");
  if (gate == nullptr || forget == nullptr || start == nullptr)
    return fail(Code::kInternal, "the gate's object lacks one of its programs");
  ::bpf_program__set_type(gate, static_cast<bpf_prog_type>(kProgramTypeNetfilter));
  ::bpf_program__set_expected_attach_type(gate, static_cast<bpf_attach_type>(kAttachNetfilter));
  SP_CHECK_OK(prepare_maps(object.get(), options));
  if (const int err = ::bpf_object__load(object.get()); err != 0)
    return load_error(
        "loading the gate's program (Linux 6.4 or later with "
        "CONFIG_NETFILTER_BPF_LINK is needed)",
        -err, said);

  LoadedObject loaded;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object.get()) {
    SP_TRY(loaded.maps[::bpf_map__name(map)], duplicate(::bpf_map__fd(map)));
  }
  SP_TRY(loaded.program, duplicate(::bpf_program__fd(gate)));
  SP_TRY(loaded.forget, duplicate(::bpf_program__fd(forget)));
  SP_TRY(loaded.start, duplicate(::bpf_program__fd(start)));
  return loaded;
}

Status run_program(int program_fd, uint32_t argument, const char* what) {
  bpf_test_run_opts run{};
  run.sz = sizeof(run);
  run.ctx_in = &argument;
  run.ctx_size_in = sizeof(argument);
  if (::bpf_prog_test_run_opts(program_fd, &run) != 0) return fail_errno(what);
  if (run.retval != 0)
    return fail(Code::kInternal,
                std::string(what) + ": the program answers " + std::to_string(run.retval));
  return {};
}

Status start_sweep(int start_fd) {
  // The timer's memory is allocated without waiting, which may fail once or twice.
  Status status;
  for (int attempt = 0; attempt < 50; ++attempt) {
    status = run_program(start_fd, 0, "starting the sweep of the connection table");
    if (status) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return status;
}

}  // namespace sallyport::gate
