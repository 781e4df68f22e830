#include <algorithm>

#include "backend/cuda/check.cuh"
#include "backend/cuda/heap.cuh"
#include "backend/cuda/ledger.h"
#include "base/memory.h"

namespace moescope::cuda {
namespace {

/** Never destroyed: models may be given back while the process ends. */
Ledger& ledger() {
  static Ledger* const one = new Ledger;
  return *one;
}

uint64_t free_now() {
  size_t free = 0, total = 0;
  return cudaMemGetInfo(&free, &total) == cudaSuccess ? free : 0;
}

}  // namespace

void* take_memory(In where, size_t bytes, const char* what) {
  const bool pinned = where == In::pinned;
  return ledger().take(
      std::max<size_t>(bytes, 1), what, pinned,
      [&](size_t n) -> void* {
        void* memory = nullptr;
        const cudaError_t status =
            pinned ? cudaHostAlloc(&memory, n, cudaHostAllocDefault) : cudaMalloc(&memory, n);
        if (status != cudaErrorMemoryAllocation) check(status, what);
        else (void)cudaGetLastError();
        return status == cudaSuccess ? memory : nullptr;
      },
      [&] { return pinned ? machine_memory().free : free_now(); });
}

void give_back_memory(In where, void* memory) {
  if (!memory) return;
  if (where == In::pinned) {
    (void)cudaFreeHost(memory);
    return;
  }
  ledger().gave_back(memory);  // before: another thread may get this address at once
  (void)cudaFree(memory);      // waits for whatever may still use it
}

void device_memory(uint64_t* free, uint64_t* total) {
  size_t f = 0, t = 0;
  check(cudaMemGetInfo(&f, &t), "device");
  *free = ledger().allowed(f);
  *total = t;
}

void obey(const Inject& inject) { ledger().obey(inject); }

}  // namespace moescope::cuda
