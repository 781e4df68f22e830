// The byte budget of everything that is handed to JavaScript: counted while it lives, refused before it is
// allocated.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/memory.h"

namespace moescope {

class Budget {
 public:
  static Budget& instance();

  uint64_t live() const { return live_.load(); }
  uint64_t limit() const { return limit_.load(); }
  void set_limit(uint64_t bytes) { limit_.store(bytes); }

  /** Throws `budget` with the numbers when `bytes` more do not fit; nothing is taken then. */
  void check(uint64_t bytes) const;
  void take(uint64_t bytes) { live_ += bytes; }
  void give_back(uint64_t bytes) { live_ -= bytes; }

 private:
  Budget();
  std::atomic<uint64_t> live_{0};
  std::atomic<uint64_t> limit_;
};

/** A block that counts against the budget as long as it lives. */
class Counted {
 public:
  Counted() = default;
  /** Its contents are what they were before. */
  Counted(size_t bytes, const char* what) : block_(bytes, what, Contents::any) {
    Budget::instance().take(bytes);
  }
  ~Counted() { reset(); }
  Counted(Counted&& other) noexcept : block_(std::move(other.block_)), used_(std::exchange(other.used_, 0)) {
    trimmed_ = std::exchange(other.trimmed_, 0);
  }
  Counted& operator=(Counted&& other) noexcept {
    if (this != &other) {
      reset();
      block_ = std::move(other.block_);
      trimmed_ = std::exchange(other.trimmed_, 0);
      used_ = std::exchange(other.used_, 0);
    }
    return *this;
  }

  void reset() {
    if (!block_) return;
    Budget::instance().give_back(block_.bytes() - trimmed_);
    block_.reset();
    trimmed_ = used_ = 0;
  }
  /** Gives back what lies behind the first `bytes`; `used()` is that from then on. */
  void trim(size_t bytes) {
    used_ = bytes;
    if (!block_ || bytes >= block_.bytes() - trimmed_) return;
    const size_t more = block_.bytes() - trimmed_ - bytes;
    block_.shrink(bytes);
    Budget::instance().give_back(more);
    trimmed_ += more;
  }

  template <class T>
  T* as() const {
    return block_.as<T>();
  }
  size_t used() const { return used_; }
  explicit operator bool() const { return static_cast<bool>(block_); }

 private:
  Block block_;
  size_t trimmed_ = 0;
  size_t used_ = 0;
};

}  // namespace moescope
