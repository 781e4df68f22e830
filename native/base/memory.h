// Memory by the page: weights, caches, captures and scratch all live in blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace moescope {

enum class Contents : uint8_t {
  zero,
  any  // may be a block of before, whose pages need not be taken again
};

/** An owned run of memory, aligned to 64 bytes at least. Pages are taken from the machine when first written,
 * so a block may be as large as what it could ever hold. Some blocks that end are kept for the next one of
 * `any` contents: taking pages costs more than filling them, and runs of the same shape follow each other. */
class Block {
 public:
  Block() = default;
  /** Throws `memory` (naming `what`) when even the addresses cannot be had. */
  Block(size_t bytes, const char* what, Contents contents = Contents::zero);
  ~Block() { reset(); }
  Block(Block&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Block& operator=(Block&& other) noexcept {
    if (this != &other) {
      reset();
      data_ = std::exchange(other.data_, nullptr);
      bytes_ = std::exchange(other.bytes_, 0);
    }
    return *this;
  }

  void reset();
  /** Asks for huge pages: worth it for what is streamed. */
  void prefer_huge_pages();
  /** Gives the pages behind the first `bytes` back to the machine. */
  void shrink(size_t bytes);

  std::byte* data() const { return data_; }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }
  size_t bytes() const { return bytes_; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

/** Gives the kept blocks back to the machine. */
void drop_kept_blocks();

constexpr size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

/** Bytes of memory that the machine could still give, and has in all; cgroup limits respected. */
struct MachineMemory {
  uint64_t free = 0;
  uint64_t total = 0;
};
MachineMemory machine_memory();

}  // namespace moescope
