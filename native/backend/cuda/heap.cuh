// All memory that this library takes, on the device or pinned in the machine so that both reach it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/cuda/inject.h"

namespace moescope::cuda {

enum class In { device, pinned };

/** Throws `memory`, naming `what` and the numbers. */
void* take_memory(In, size_t bytes, const char* what);
void give_back_memory(In, void*);
/** Bytes of the device that may still be taken, and those it has. */
void device_memory(uint64_t* free, uint64_t* total);
void obey(const Inject&);

}  // namespace moescope::cuda
