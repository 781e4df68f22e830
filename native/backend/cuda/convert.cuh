// bf16 as it is stored: the upper half of an f32.
#pragma once

#include <cstdint>

namespace moescope::cuda {

__device__ inline float element(const float* x, int64_t i) { return x[i]; }
__device__ inline float element(const uint16_t* x, int64_t i) {
  return __uint_as_float(static_cast<unsigned>(x[i]) << 16);
}

}  // namespace moescope::cuda
