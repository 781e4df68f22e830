// Memory that grows and never shrinks: on the device, and pinned in the machine so that both reach it.
#pragma once

#include <cstddef>

#include "backend/cuda/check.cuh"

namespace moescope::cuda {

enum class In { device, pinned };

template <In where>
class Buffer {
 public:
  Buffer() = default;
  ~Buffer() { release(); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  /** Makes room, forgetting what was there. Nothing on the device may still use it. */
  void reserve(size_t bytes, const char* what) {
    if (bytes <= bytes_) return;
    release();
    if constexpr (where == In::device) check(cudaMalloc(&data_, bytes), what);
    else check(cudaHostAlloc(&data_, bytes, cudaHostAllocDefault), what);
    bytes_ = bytes;
  }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  size_t bytes() const { return bytes_; }

 private:
  void release() {
    if (!data_) return;
    if constexpr (where == In::device) (void)cudaFree(data_);
    else (void)cudaFreeHost(data_);
    data_ = nullptr;
    bytes_ = 0;
  }
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace moescope::cuda
