// CUDA's return codes as errors.
#pragma once

#include <cuda_runtime.h>

#include <string>

#include "base/error.h"

namespace moescope::cuda {

inline void check(cudaError_t status, const char* where) {
  if (status == cudaSuccess) return;
  const Code code = status == cudaErrorMemoryAllocation ? Code::memory : Code::device;
  (void)cudaGetLastError();  // an allocation that failed is no reason to stop
  fail(code, where, std::string("CUDA says: ") + cudaGetErrorString(status));
}

/** After a launch. */
inline void launched(const char* kernel) { check(cudaPeekAtLastError(), kernel); }

}  // namespace moescope::cuda
