// Where each matrix of the model lies. A matrix is [rows, cols], rows are outputs; how its elements are laid
// out is the backend's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/int4.h"
#include "base/mapped_file.h"
#include "base/memory.h"
#include "model/config.h"

namespace moescope {

enum class Format : uint8_t { f32, bf16, int4_32, int4_64, int4_128 };

/** Neighbours that share a scale; 0: an element stands for itself. */
constexpr int group_of(Format f) {
  return f == Format::int4_32 ? 32 : f == Format::int4_64 ? 64 : f == Format::int4_128 ? 128 : 0;
}
/** Of an element that stands for itself. */
constexpr size_t bytes_of(Format f) { return f == Format::f32 ? 4 : 2; }
/** Of a matrix: row by row, or as `base/int4.h` lays it out. */
constexpr size_t bytes_of(Format f, int64_t rows, int64_t cols) {
  if (group_of(f) > 0) return Int4Layout{rows, cols, group_of(f)}.bytes();
  return static_cast<size_t>(rows * cols) * bytes_of(f);
}

struct Matrix {
  const void* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  Format format = Format::f32;
  /** Laid out as the backend likes; otherwise plain row-major. */
  bool packed = false;
  /** Lies in the mapped checkpoint rather than in memory of ours. */
  bool mapped = false;
};

/** SwiGLU: down(silu(gate x) * up x). */
struct Mlp {
  Matrix gate, up, down;
};

struct LayerWeights {
  Matrix norm_attn, norm_ffn;  // [1, d], f32
  Matrix q, k, v, o;
  Matrix router;  // [experts, d], f32 always: it is small, and rounding it would change choices
  Mlp shared;
  std::vector<Mlp> experts;
  Mlp mlp;
};

struct Weights {
  Matrix embed, unembed, final_norm;
  std::vector<LayerWeights> layers;
};

/** A slot of the model: its name as in `WeightSource.slot`, the part it counts as in `memory()`, and its
 * shape. */
struct Slot {
  std::string name;
  const char* part;
  Matrix* matrix;
  enum class Use : uint8_t { multiply, lookup, vector, router } use;
};

/** Sizes `weights` for the config and lists all its slots, in the order of the computation. */
std::vector<Slot> slots_of(const Config&, Weights&);

}  // namespace moescope
