#include "runtime/oom_score.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "base/fd.h"

namespace sallyport::runtime {

void set_oom_score(int adjustment) {
  Fd file(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  std::string text = std::to_string(adjustment);
  // A refusal leaves the default, with which everything works.
  if (file && ::write(file.get(), text.data(), text.size()) < 0) return;
}

}  // namespace sallyport::runtime
