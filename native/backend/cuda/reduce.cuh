// Sums and extremes over the threads of a block.
#pragma once

#include <cuda_runtime.h>

namespace moescope::cuda {

constexpr unsigned all_lanes = 0xffffffffu;
/** Softmax in powers of two: what scores are multiplied with, and the way back. */
constexpr double log2_of_e = 1.4426950408889634;
constexpr float ln_of_2 = 0.6931471805599453f;

__device__ inline float warp_sum(float x) {
  for (int i = 16; i > 0; i /= 2) x += __shfl_xor_sync(all_lanes, x, i);
  return x;
}

/** Over a block of a multiple of 32 threads, the same result in each. `combine` must not care for the order.
 */
template <class T, class F>
__device__ T block_reduce(T x, T none, F combine) {
  __shared__ T part[32];
  for (int i = 16; i > 0; i /= 2) x = combine(x, __shfl_xor_sync(all_lanes, x, i));
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  __syncthreads();
  if (lane == 0) part[warp] = x;
  __syncthreads();
  x = lane < static_cast<int>(blockDim.x) / 32 ? part[lane] : none;
  for (int i = 16; i > 0; i /= 2) x = combine(x, __shfl_xor_sync(all_lanes, x, i));
  return x;
}

template <class T>
__device__ T block_sum(T x) {
  return block_reduce(x, T{0}, [](T a, T b) { return a + b; });
}
__device__ inline float block_max(float x) {
  return block_reduce(x, -INFINITY, [](float a, float b) { return fmaxf(a, b); });
}

}  // namespace moescope::cuda
