#include "runtime/capabilities.h"

#include <gtest/gtest.h>
#include <linux/capability.h>

namespace sallyport::runtime {
namespace {

TEST(CapabilitiesTest, DefaultsAreContainerds) {
  EXPECT_EQ(default_capabilities(), 0xa80425fbULL);
}

TEST(CapabilitiesTest, DropAndAdd) {
  EXPECT_EQ(container_capabilities({}, {}), default_capabilities());
  EXPECT_EQ(container_capabilities({}, {"ALL"}), 0u);
  EXPECT_EQ(container_capabilities({"NET_RAW"}, {"ALL"}), uint64_t{1} << CAP_NET_RAW);
  EXPECT_EQ(
      container_capabilities({"CAP_NET_ADMIN"}, {"CAP_NET_RAW"}),
      (default_capabilities() | uint64_t{1} << CAP_NET_ADMIN) & ~(uint64_t{1} << CAP_NET_RAW));
  EXPECT_EQ(container_capabilities({"CHOWN"}, {"CHOWN"}), default_capabilities()) << "add wins";
}

TEST(CapabilitiesTest, PowersOverTheHostAreRefused) {
  for (const char* name :
       {"SYS_ADMIN", "BPF", "PERFMON", "SYS_PTRACE", "SYS_MODULE", "SYS_RAWIO", "DAC_READ_SEARCH",
        "SYS_BOOT", "SYS_TIME", "MAC_ADMIN", "SYS_RESOURCE", "ALL"}) {
    auto set = container_capabilities({name}, {});
    ASSERT_FALSE(set) << name;
    EXPECT_EQ(set.error().code, Code::kDenied);
    EXPECT_NE(set.error().message.find(name), std::string::npos);
  }
}

TEST(CapabilitiesTest, UnknownNamesAreNamed) {
  EXPECT_EQ(container_capabilities({"FLY"}, {}).error().message, "unknown capability \"FLY\"");
  EXPECT_EQ(container_capabilities({}, {"chown"}).error().code, Code::kInvalid);
}

}  // namespace
}  // namespace sallyport::runtime
