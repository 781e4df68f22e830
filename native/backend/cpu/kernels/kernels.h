// The fast number path of the CPU backend: everything between two sites of a layer, for prefill and for
// decode.
//
// Activations are f32 throughout. Weights are f32, bf16 or int4 and are widened exactly, so results differ
// from a straight-line f32 evaluation of the same weights by the order of summation only (about 1e-6
// relative).
//
// A row's result of `matmul` does not depend on the rows computed beside it, on the thread count, nor on the
// sharing out of work: the same row gives the same bits in prefill and in decode on the same instruction set.
//
// Matrices that multiply are kept packed (see `Packed`), in one copy; `unpack` gives rows back for
// inspection.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "pool.h"

namespace moescope::kernels {

enum class Isa : uint8_t { generic, neon, avx2, avx512, amx };
enum class Format : uint8_t { f32, bf16, int4_32, int4_64, int4_128 };
/** Neighbours along k that share a scale; 0: a value stands for itself. */
constexpr int group_of(Format f) {
  return f == Format::int4_32 ? 32 : f == Format::int4_64 ? 64 : f == Format::int4_128 ? 128 : 0;
}

/** Best instruction set of this machine, or what MOESCOPE_ISA (generic, neon, avx2, avx512, amx) asks for if
 * the machine has it. */
Isa detect();
bool available(Isa);
const char* name(Isa);

/** How a kernel may run. */
struct Run {
  Pool& pool;
  int threads = 1;
  /** Polled between blocks; a kernel that was cancelled leaves its output undefined. May be null. */
  const std::atomic<bool>* cancel = nullptr;
};

// ----------------------------------------------------------------------------------------------------------------
// weights

/** A matrix [n, k] (rows are outputs) in panels of 32 rows: panel p holds rows 32p .. 32p+31 as [k][32], the
 * rows beyond n being zero. Within a group of 32 the bf16 values of rows j and j+16 sit in one 32-bit word (j
 * in the low half), so that one shift and one mask widen a whole load; f32 values are in order. The layout is
 * the same for every instruction set. Reading it panel by panel is one sequential stream, which is what
 * decode lives on, and prefill's register tiles need no packing at run time. `data` is 64-byte aligned; huge
 * pages help (madvise).
 *
 * int4: the words and scales of `base/int4.h` in another order. A panel is blocks of 128 k, the last one
 * filled up with zeros; a block is [k / 8][32] words, then [128 / group][32] f16 scales. The last panel ends
 * with the group of 8 rows that holds row n - 1, so that the bytes are those of `base/int4.h`. */
struct Packed {
  const void* data = nullptr;
  Format format = Format::f32;
  int64_t n = 0;
  int64_t k = 0;
};
constexpr int64_t panel_rows = 32;
constexpr int64_t panels(int64_t n) { return (n + panel_rows - 1) / panel_rows; }
constexpr int64_t int4_block = 128;
/** Bytes of 128 k of so many rows. */
constexpr int64_t int4_block_bytes(Format f, int64_t rows) { return rows * (64 + 256 / group_of(f)); }
/** Rows of an int4 panel as it is stored. */
constexpr int64_t int4_panel_rows(int64_t n, int64_t panel) {
  const int64_t rest = (n - panel * panel_rows + 7) / 8 * 8;
  return rest < panel_rows ? rest : panel_rows;
}
constexpr size_t packed_bytes(Format f, int64_t n, int64_t k) {
  if (group_of(f) > 0)
    return static_cast<size_t>((k + int4_block - 1) / int4_block * int4_block_bytes(f, (n + 7) / 8 * 8));
  return static_cast<size_t>(panels(n)) * panel_rows * static_cast<size_t>(k) * (f == Format::f32 ? 4 : 2);
}

enum class SourceType : uint8_t { f32, bf16, f16 };
/** Element (r, c) is at data + (r * row_stride + c * col_stride) elements: out-major, in-major and fused
 * checkpoints alike. */
struct Source {
  const void* data = nullptr;
  SourceType type = SourceType::f32;
  int64_t row_stride = 0;
  int64_t col_stride = 1;
};

/** Packs panels [panel_begin, panel_end) of an [n, k] matrix into `dst` (the start of the whole packed
 * matrix); wider to narrower rounds to nearest even. Single-threaded, so that a loader can share panels out
 * and report progress. Returns the number of non-finite elements. */
int64_t pack(void* dst, Format format, int64_t n, int64_t k, const Source& src, int64_t panel_begin,
             int64_t panel_end);
/** Rows [row_begin, row_end) as f32, row r at dst + (r - row_begin) * dst_stride. */
void unpack(float* dst, int64_t dst_stride, const Packed& w, int64_t row_begin, int64_t row_end);

// ----------------------------------------------------------------------------------------------------------------
// products

/** y[i, :] (+)= W x[i, :] for i in [0, m); with `up`, y[i, :] = silu(W x[i, :]) * (Up x[i, :]). */
struct Product {
  Packed w;
  Packed up{};
  int64_t m = 0;
  const float* x = nullptr;
  int64_t x_stride = 0;
  float* y = nullptr;
  int64_t y_stride = 0;
  /** Row i reads row x_rows[i] of x and writes row y_rows[i] of y; null: i. */
  const int32_t* x_rows = nullptr;
  const int32_t* y_rows = nullptr;
  /** Factor of row i's input, [m]; null: none. (A Llama 4 router score.) */
  const float* x_scale = nullptr;
  bool add = false;
};

/** Which keys a query row sees and where they lie. Query row i attends keys [lo[i], hi[i]); key t of kv head
 * h is at k + t * k_stride + h * k_head_stride. Its own key is hi[i] - 1. Query heads [g * heads / kv_heads,
 * (g+1) * ...) share kv head g. */
struct Attention {
  int64_t rows = 0;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  /** Multiplies q . k, usually head_dim^-1/2. */
  float scale = 1;
  /** Query row i, head h: q + i * q_stride + h * head_dim; the same for out. */
  const float* q = nullptr;
  int64_t q_stride = 0;
  float* out = nullptr;
  int64_t out_stride = 0;
  const float* k = nullptr;
  int64_t k_stride = 0;
  int64_t k_head_stride = 0;
  const float* v = nullptr;
  int64_t v_stride = 0;
  int64_t v_head_stride = 0;
  const int32_t* lo = nullptr;
  const int32_t* hi = nullptr;
  /** Statistics, [rows, heads, 7] in the order of `Stat`; null: none. */
  float* stats = nullptr;
  /** Log of the sum of exponentials, [rows, heads]; null: not kept. */
  float* lse = nullptr;
  /** The temperature factor that is already in q, [rows]; entropy_off is of the scores divided by it.
   * null: 1. */
  const float* temperature = nullptr;
};
enum Stat : int {
  stat_entropy,      // nats
  stat_entropy_off,  // nats, of the scores without temperature
  stat_max,          // largest weight
  stat_argmax,       // its key (index into k), the lowest of equal ones
  stat_sink,         // weight of the first visible key, lo
  stat_local,        // weight of the last 128 keys, hi-128 .. hi-1
  stat_distance,     // mean of (hi - 1) - key
  stat_count
};
constexpr int local_window = 128;

/** What is known of a row of logits without keeping it. Every pointer may be null; all are [rows]. */
struct LogitStats {
  const int32_t* target = nullptr;  // id whose log probability and rank are asked; negative: NaN and -1
  float* logprob = nullptr;         // natural log probability of target
  int32_t* rank = nullptr;          // 0: most likely; equal logits rank by lower id
  float* lse = nullptr;
  float* entropy = nullptr;   // nats
  int32_t* argmax = nullptr;  // lowest id of equal ones
};

struct Kernels {
  Isa isa;

  /** All products in one parallel region; their outputs must not overlap. Experts' row groups, q/k/v and the
   * like go in one call, which saves synchronisations. False: cancelled. */
  bool (*matmul)(const Run&, const Product*, int count);

  /** out[i, :] = x[i, :] / sqrt(mean(x[i, :]^2) + eps) * weight; weight null: 1. out may be x. */
  bool (*rmsnorm)(const Run&, float* out, int64_t out_stride, const float* x, int64_t x_stride,
                  const float* weight, float eps, int64_t rows, int64_t d);

  /** In place on [rows, heads, head_dim] (row stride given): rotate pairs (2j, 2j+1) by cos, sin [rows,
   * head_dim / 2] (null: not), then divide each head by sqrt(mean of squares + eps) (eps < 0: not), then
   * multiply by factor[rows] (null: not). */
  bool (*heads)(const Run&, float* x, int64_t stride, int64_t rows, int heads, int head_dim, const float* cos,
                const float* sin, float eps, const float* factor);

  /** Softmax attention, causal by `hi`. Tiled over rows when there are many, split over heads and key ranges
   * when few. */
  bool (*attention)(const Run&, const Attention&);
  /** The weights themselves for head `head` of row `row`: hi - lo numbers, key lo first. Slow path, for
   * attn.pattern. */
  void (*attention_weights)(const Attention&, int64_t row, int head, float* out);

  /** out[i] = silu(gate[i]) * up[i]. */
  bool (*swiglu)(const Run&, float* out, const float* gate, const float* up, int64_t n);
  /** out[i] = 1 / (1 + exp(-x[i])), within 3 ulp. */
  void (*sigmoid)(float* out, const float* x, int64_t n);
  /** out[i] = exp(x[i]), within 2 ulp; overflows to inf, underflows to 0 below -87.3, NaN stays. */
  void (*exp)(float* out, const float* x, int64_t n);
  /** y += x */
  bool (*add)(const Run&, float* y, const float* x, int64_t n);

  bool (*logit_stats)(const Run&, const float* logits, int64_t stride, int64_t rows, int64_t vocab,
                      const LogitStats&);
};

/** The table of an instruction set; the generic one where the build or the machine lacks it. */
const Kernels& kernels(Isa);
inline const Kernels& kernels() { return kernels(detect()); }

}  // namespace moescope::kernels
