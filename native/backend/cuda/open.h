// Whether CUDA can be used here, and the backend if so.
#pragma once

#include <memory>
#include <string>

#include "backend/backend.h"

namespace moescope {

struct CudaStatus {
  enum class State { ready, no_driver, no_device, old_driver, not_built, mismatch, lost } state;
  /** One sentence: the device's name, or what is missing and what to do. */
  std::string text;
};
/** Asks the driver; the answer of the first time stays, unless the device is lost meanwhile. */
CudaStatus cuda_status();
/** Where the products of long prompts come from, or what is slower without it; empty: there is no device. */
std::string cuda_products();
/** The code of a state, as `NativeInfo.cuda.state` has it. */
const char* name(CudaStatus::State);

struct DeviceMemory {
  uint64_t free = 0;
  uint64_t total = 0;
};
/** Of the first GPU, now. The first call makes the process's context there. Throws `device` or `lost`. */
DeviceMemory cuda_memory();

/** The first GPU. Throws `device` with the reason when there is none. */
std::unique_ptr<Backend> cuda_gpu(const Config&, const Weights&, bool fast);

}  // namespace moescope
