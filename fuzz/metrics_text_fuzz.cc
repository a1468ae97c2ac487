// links: base codec telemetry
//
// The metrics text of a proxy that may have been taken over. Beside not crashing: a text is taken
// whole or not at all, and what was taken is printed so that it can be read again unchanged.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "telemetry/mesh_metrics.h"

namespace {

namespace telemetry = sallyport::telemetry;

[[noreturn]] void broken(const char* what, const std::string& text) {
  std::fprintf(stderr, "%s\n---\n%s\n", what, text.c_str());
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  telemetry::Exposition out(1000);
  telemetry::declare_all(out);
  if (!out.add_text(text)) {
    if (!out.text().empty()) broken("a refused text left something", out.text());
    return 0;
  }
  const std::string once = out.text();
  telemetry::Exposition again;
  telemetry::declare_all(again);
  if (!again.add_text(once)) broken("our own text is refused", once);
  if (again.text() != once) broken("another text", once + "\n---\n" + again.text());
  return 0;
}
