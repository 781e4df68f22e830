// cuBLASLt, opened when it is there: the library's own products serve without it.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <map>
#include <tuple>

#include "backend/cuda/memory.cuh"

namespace moescope::cuda {

/** Where cuBLASLt is, as a sentence; asks once. */
const char* lt_status();

class Lt {
 public:
  ~Lt();
  /** Opens the library; false: it is not there (or MOESCOPE_CUBLASLT=off). */
  bool open();
  /** y [m, n] f32, its rows `y_stride` apart, = x [m, k] w [n, k]^T, both bf16. False: it knows no way for
   * this shape. */
  bool multiply(const uint16_t* w, const uint16_t* x, float* y, int64_t m, int64_t n, int64_t k,
                int64_t y_stride, cudaStream_t);

  size_t bytes() const { return workspace_.bytes(); }

 private:
  struct Plan;
  const Plan* plan(int64_t m, int64_t n, int64_t k, int64_t y_stride);

  void* handle_ = nullptr;
  bool tried_ = false;
  Buffer<In::device> workspace_;
  std::map<std::tuple<int64_t, int64_t, int64_t, int64_t>, Plan*> plans_;
};

}  // namespace moescope::cuda
