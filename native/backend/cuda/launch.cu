#include <mutex>
#include <unordered_map>

#include "backend/cuda/launch.cuh"

namespace moescope::cuda {

int multiprocessors() {
  static const int count = [] {
    int device = 0, n = 1;
    (void)cudaGetDevice(&device);
    (void)cudaDeviceGetAttribute(&n, cudaDevAttrMultiProcessorCount, device);
    return n;
  }();
  return count;
}

void allow_shared(const void* kernel, size_t bytes) {
  static std::mutex mutex;
  static std::unordered_map<const void*, size_t> allowed;
  const std::lock_guard lock(mutex);
  size_t& now = allowed[kernel];
  if (bytes <= now) return;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
        "shared memory");
  now = bytes;
}

int stream_stages_here() {
#if defined(MOESCOPE_STREAM_STAGES)
  return MOESCOPE_STREAM_STAGES;
#else
  static const int stages = [] {
    int device = 0, major = 0;
    (void)cudaGetDevice(&device);
    (void)cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    return major >= 9 ? 4 : 2;
  }();
  return stages;
#endif
}

bool fits_shared(size_t bytes) {
  static const size_t most = [] {
    int device = 0, n = 0;
    (void)cudaGetDevice(&device);
    (void)cudaDeviceGetAttribute(&n, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    return static_cast<size_t>(n);
  }();
  return bytes + 1024 <= most;  // what a kernel has beside
}

}  // namespace moescope::cuda
