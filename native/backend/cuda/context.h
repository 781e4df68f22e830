// Whether the GPU's context of this process still lives. After a fault in a kernel CUDA answers every later
// call of the process with an error: all models on the device are dead together, and so it is kept in one
// place for all of them.
#pragma once

#include <atomic>
#include <mutex>
#include <string>

namespace moescope {

class DeviceContext {
 public:
  /** The process's own. */
  static DeviceContext& instance();

  bool lost() const { return lost_.load(std::memory_order_acquire); }
  /** Throws `lost`, with the first fault, when it is. */
  void check() const;
  /** Keeps the first fault; what follows from it is no news. */
  void lose(std::string where, std::string what);
  /** One sentence: what happened, where it was told first, what is lost and what is not. */
  std::string text() const;

 private:
  mutable std::mutex mutex_;
  std::atomic<bool> lost_{false};
  std::string where_, what_;
};

}  // namespace moescope
