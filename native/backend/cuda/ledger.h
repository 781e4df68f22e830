// What this library has taken, by address: so that what is given back is known, and so that tests can say how
// much there is (`inject.h`).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "backend/cuda/inject.h"

namespace moescope::cuda {

class Ledger {
 public:
  void obey(const Inject& inject) {
    const std::lock_guard lock(mutex_);
    cap_ = inject.memory;
    left_ = inject.allocation;
  }

  /** Of what is free, what may be taken. */
  uint64_t allowed(uint64_t free) const {
    const std::lock_guard lock(mutex_);
    if (cap_ < 0) return free;
    return std::min(free, static_cast<uint64_t>(std::max<int64_t>(0, cap_ - used_)));
  }
  /** Takes with `take(bytes)`, which returns null when there is no room; throws `memory` with the numbers.
   * `free()`: asked only then. `pinned`: of the machine's memory, which the cap does not count. */
  template <class Take, class Free>
  void* take(size_t bytes, const char* what, bool pinned, Take take, Free free) {
    const std::lock_guard lock(mutex_);
    const int64_t size = static_cast<int64_t>(bytes);
    const bool allowed = left_ != 0 && (pinned || cap_ < 0 || used_ + size <= cap_);
    if (left_ >= 0) --left_;
    void* const memory = allowed ? take(bytes) : nullptr;
    if (!memory) {
      uint64_t most = free();
      if (!pinned && cap_ >= 0)
        most = std::min(most, static_cast<uint64_t>(std::max<int64_t>(0, cap_ - used_)));
      fail(Code::memory, what,
           "takes " + std::to_string(bytes) + " bytes, " + std::to_string(most) + " are free " +
               (pinned ? "in the machine, and the driver would not pin them" : "on the device"));
    }
    if (!pinned) {
      sizes_[memory] = size;
      used_ += size;
    }
    return memory;
  }
  void gave_back(void* memory) {
    const std::lock_guard lock(mutex_);
    const auto found = sizes_.find(memory);
    if (found == sizes_.end()) return;
    used_ -= found->second;
    sizes_.erase(found);
  }

 private:
  mutable std::mutex mutex_;
  std::unordered_map<void*, int64_t> sizes_;
  int64_t used_ = 0, cap_ = -1, left_ = -1;
};

}  // namespace moescope::cuda
