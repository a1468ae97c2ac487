// links: authz
// AuthorizationPolicy: the compiled matcher answers as the evaluator does. Byte 0: bit 0 chooses
// where the policies come from.
//   0: from the rest as a manifest (YAML or JSON), decoded as any other; the questions are drawn
//   from
//      a number made of the text
//   1: from the rest as choices, as the property test draws them from random numbers
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "authz/evaluator.h"
#include "authz/matcher.h"
#include "authz/random_policies.h"
#include "base/strings.h"
#include "k8s/manifest.h"

namespace {

using namespace sallyport;
using namespace sallyport::authz;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "authz_fuzz: %s\n", what);
  std::abort();
}

// Choices from bytes; when they have run out, always the least.
struct Bytes {
  std::span<const uint8_t> left;
  int between(int least, int most) {
    if (left.empty()) return least;
    const int byte = left.front();
    left = left.subspan(1);
    return least + byte % (most - least + 1);
  }
};

struct Numbers {
  uint64_t state;
  int between(int least, int most) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return least + static_cast<int>((state >> 33) % static_cast<uint64_t>(most - least + 1));
  }
};

template <class Policies>
void ask(const world::World& world, const world::Endpoint& pod, Policies& policies, int questions) {
  const MatcherPtr matcher = compile(world, pod);
  for (int i = 0; i < questions; ++i) {
    const auto question = policies.question();
    const Decision expected = evaluate(world, pod, question->connection, question->facts());
    check(matcher->decide(question->connection, question->facts()) == expected,
          "matcher and evaluator disagree");
    if (!matcher->reads_requests())
      check(matcher->decide(question->connection, nullptr) == expected,
            "a request mattered, though none is read");
    (void)nearest(world, pod, question->connection, question->facts());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  if (data[0] & 1) {
    Bytes bytes{{data + 1, size - 1}};
    testing::RandomPolicies policies(bytes);
    const world::Endpoint pod = policies.pod();
    const world::World world = policies.world(6);
    ask(world, pod, policies, 6);
    return 0;
  }
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const k8s::Manifest manifest = k8s::parse_manifest(text, "policy.yaml");
  const world::World world = world::from_objects(manifest.objects);
  if (world.authorization_policies.empty()) return 0;
  Numbers numbers{fnv1a(text)};
  testing::RandomPolicies policies(numbers);
  for (const auto& policy : world.authorization_policies)
    ask(world, testing::workload(policy->meta.ns, policy->selector), policies, 3);
  return 0;
}
