#include <algorithm>

#include "backend/cuda/outbox.cuh"

namespace moescope::cuda {

void* Outbox::bytes(size_t n, cudaStream_t stream) {
  const size_t aligned = (n + 15) / 16 * 16;
  if (used_ + aligned > box_.bytes()) {
    deliver(stream);
    box_.reserve(std::max(size, aligned), "captures");
  }
  void* out = box_.as<std::byte>() + used_;
  used_ += aligned;
  return out;
}

void Outbox::deliver(cudaStream_t stream) {
  check(cudaStreamSynchronize(stream), "captures");
  for (const auto& deliver : pending_) deliver();
  drop();
}

}  // namespace moescope::cuda
