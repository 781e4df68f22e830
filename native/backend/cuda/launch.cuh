// What a launch must know of the device in use, and how kernels follow one another.
#pragma once

#include <type_traits>

#include "backend/cuda/check.cuh"
#include "backend/cuda/stream.cuh"

namespace moescope::cuda {

/** Stages of a stream on the device in use. */
int stream_stages_here();
/** Bytes of its ring. */
template <int G>
size_t stream_ring() {
  return static_cast<size_t>(stream_warps * stream_stages_here() * StreamTile<G>::stage);
}
/** Starts a kernel that begins with `after_predecessor`'s part while the one before it ends, where the device
 * can. */
template <class... Arguments, class... Given>
void launch_after(void (*kernel)(Arguments...), dim3 grid, int threads, size_t shared, bool follows,
                  cudaStream_t stream, const char* what, Given... given) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &attribute;
  config.numAttrs = follows && stream_stages_here() > 2 ? 1 : 0;  // from Hopper on
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Arguments>(given)...), what);
}

/** Multiprocessors of the device in use. */
int multiprocessors();
/** Whether a block may have so much shared memory. */
bool fits_shared(size_t bytes);
/** Raises a kernel's limit of shared memory, once. */
void allow_shared(const void* kernel, size_t bytes);

/** f(the group as a constant): int4 comes in three. */
template <class F>
void by_group(int group, F f) {
  if (group == 32) f(std::integral_constant<int, 32>{});
  else if (group == 64) f(std::integral_constant<int, 64>{});
  else f(std::integral_constant<int, 128>{});
}

}  // namespace moescope::cuda
