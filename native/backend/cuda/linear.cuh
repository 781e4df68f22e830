// A row times int4 matrices, norm before and sum after included: what decode is made of (`linear.cu`).
#pragma once

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

}  // namespace moescope::cuda
