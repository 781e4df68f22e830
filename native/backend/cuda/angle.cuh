// Rotations of a position, as every kernel makes them.
#pragma once

#include <cstdint>

namespace moescope::cuda {

struct Turn {
  float cos, sin;
};
__device__ inline Turn turn(double angle) {
  return {static_cast<float>(cos(angle)), static_cast<float>(sin(angle))};
}

/** Hugging Face's: the f32 product of position and frequency. */
__device__ inline Turn turn_hf(int32_t position, float frequency) {
  return turn(static_cast<double>(__fmul_rn(static_cast<float>(position), frequency)));
}
/** In doubles, the position counted from the chunk's start (chunk 0: absolute). */
__device__ inline Turn turn_accurate(int32_t position, double frequency, int64_t chunk) {
  return turn(static_cast<double>(chunk > 0 ? position % chunk : position) * frequency);
}

}  // namespace moescope::cuda
