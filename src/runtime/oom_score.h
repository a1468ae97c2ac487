// How readily the kernel kills this process when memory runs out.
#pragma once

namespace sallyport::runtime {

// From -1000 (never) to 1000. Less than it was needs CAP_SYS_RESOURCE; without it, it stays.
void set_oom_score(int adjustment);

}  // namespace sallyport::runtime
