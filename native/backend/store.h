// Memory for weights and caches: the backend's own where it has some, else the machine's.
#pragma once

#include <utility>

#include "backend/backend.h"
#include "base/memory.h"

namespace moescope {

class Store {
 public:
  Store() = default;
  /** Throws `memory`. The backend must live longer. */
  Store(Backend& backend, size_t bytes, const char* what) : bytes_(bytes) {
    if (!backend.on_device()) {
      block_ = Block(bytes, what, Contents::any);
      data_ = block_.data();
      return;
    }
    data_ = backend.take(bytes, what);
    owner_ = &backend;
  }
  ~Store() { reset(); }
  Store(Store&& o) noexcept
      : block_(std::move(o.block_)),
        owner_(std::exchange(o.owner_, nullptr)),
        data_(std::exchange(o.data_, nullptr)),
        bytes_(std::exchange(o.bytes_, 0)) {}
  Store& operator=(Store&& o) noexcept {
    if (this != &o) {
      reset();
      block_ = std::move(o.block_);
      owner_ = std::exchange(o.owner_, nullptr);
      data_ = std::exchange(o.data_, nullptr);
      bytes_ = std::exchange(o.bytes_, 0);
    }
    return *this;
  }

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  void prefer_huge_pages() {
    if (!owner_) block_.prefer_huge_pages();
  }

 private:
  void reset() {
    if (owner_ && data_) owner_->give_back(data_);
    owner_ = nullptr;
    data_ = nullptr;
    block_.reset();
  }

  Block block_;
  Backend* owner_ = nullptr;
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace moescope
