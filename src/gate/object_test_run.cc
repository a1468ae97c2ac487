// Apart from object.cc, so that only binaries that time or test the program carry this variant.
#include "gate/object.h"

extern "C" {
extern const unsigned char sallyport_gate_test_object[];
extern const unsigned long sallyport_gate_test_object_size;
}

namespace sallyport::gate {

std::span<const unsigned char> gate_test_object() {
  return {static_cast<const unsigned char*>(sallyport_gate_test_object),
          sallyport_gate_test_object_size};
}

}  // namespace sallyport::gate
