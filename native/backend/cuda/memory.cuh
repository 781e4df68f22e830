// Memory that grows and never shrinks: on the device, and pinned in the machine so that both reach it.
#pragma once

#include <cstddef>

#include "backend/cuda/check.cuh"
#include "backend/cuda/heap.cuh"

namespace moescope::cuda {

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
    data_ = take_memory(where, bytes, what);
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
    give_back_memory(where, data_);
    data_ = nullptr;
    bytes_ = 0;
  }
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace moescope::cuda
