// CUDA's return codes as errors.
#pragma once

#include <cuda_runtime.h>

#include <string>

#include "base/error.h"

namespace moescope::cuda {

/** Errors after which CUDA answers every call of the process with the same one. */
inline bool loses_context(cudaError_t status) {
  switch (status) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContextIsDestroyed:
    case cudaErrorUnknown:
      return true;
    default:
      return false;
  }
}

inline void check(cudaError_t status, const char* where) {
  if (status == cudaSuccess) return;
  const Code code = status == cudaErrorMemoryAllocation ? Code::memory
                    : loses_context(status)             ? Code::lost
                                                        : Code::device;
  (void)cudaGetLastError();  // an allocation that failed is no reason to stop
  fail(code, where, std::string("CUDA says: ") + cudaGetErrorString(status));
}

/** After a launch. */
inline void launched(const char* kernel) { check(cudaPeekAtLastError(), kernel); }

}  // namespace moescope::cuda
