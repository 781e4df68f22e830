// What leaves the device: kernels write straight into pinned memory of the machine, and when the tile is done
// (or the box is full) it is carried to where it belongs. No verb waits for it.
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

#include "backend/backend.h"
#include "backend/cuda/memory.cuh"

namespace moescope::cuda {

/** A row that a tap keeps goes to its place, unless the tap asks for experts and none of those that the row
 * chose. */
inline void deliver_row(const Tap& tap, int32_t to, const float* values, const int32_t* chosen, int topk) {
  if (tap.experts && std::none_of(chosen, chosen + topk, [&](int32_t e) { return tap.experts[e] != 0; }))
    return;
  if (tap.kept) tap.kept[to] = 1;
  std::copy_n(values, tap.width, tap.data + to * tap.width);
}

class Outbox {
 public:
  /** Bytes in the box that a kernel of the stream may write. May wait for what is in it already. */
  template <class T>
  T* room(size_t n, cudaStream_t stream) {
    return static_cast<T*>(bytes(n * sizeof(T), stream));
  }
  /** So many bytes fit without a wait in between. */
  size_t capacity() const { return size; }
  size_t pinned_bytes() const { return box_.bytes(); }
  /** Done when the stream has come this far. */
  void then(std::function<void()> deliver) { pending_.push_back(std::move(deliver)); }
  /** Waits and delivers. */
  void deliver(cudaStream_t stream);
  /** Forgets what a step that was given up has left. */
  void drop() {
    pending_.clear();
    used_ = 0;
  }

 private:
  static constexpr size_t size = size_t{32} << 20;
  void* bytes(size_t n, cudaStream_t stream);
  Buffer<In::pinned> box_;
  size_t used_ = 0;
  std::vector<std::function<void()>> pending_;
};

}  // namespace moescope::cuda
