// A row times int4 matrices, norm before and sum after included: what decode is made of (`linear.cu`).
#pragma once

#include "backend/cuda/check.cuh"
#include "backend/cuda/stream.cuh"

namespace moescope::cuda {

/** y[i] = (add +) w[i] norm(x), for up to three matrices of one input. grid.y: rows of x, y and add, each
 * with its own expert where there are any. */
struct Linear {
  static constexpr int most = 3;
  const float* x = nullptr;
  const float* norm = nullptr;  // null: x as it is
  float eps = 0;
  int cols = 0;
  Int4 w[most];
  float* y[most] = {};
  int count = 0;
  const float* add = nullptr;            // of y[0]; may be y[0]
  const void* const* experts = nullptr;  // instead of w[0].data, by choice[row]
  const int32_t* choice = nullptr;
};

/** Whether the device has the shared memory for it. */
bool linear_fits(int64_t rows, int64_t cols);
/** `follows`: may begin before the kernel before it is done (Hopper). */
void launch_linear(const Linear&, int group, int rows, bool follows, cudaStream_t);

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

}  // namespace moescope::cuda
