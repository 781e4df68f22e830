// Products with bf16 weights on AMX: 16 rows by 16 columns by 32 k an instruction.
//
// Its operands are bf16 and activations are not. A row is therefore cut into three rows of bf16 whose sum it
// is, exactly (24 bits are three times 8), and each is multiplied: the result is a sum of the same products
// in f32, as on every other path. Weights are turned from `Packed` into the pairs along k that the
// instruction reads, a panel's block of k at a time, in a buffer that stays in the L1 cache while all rows
// meet it.
//
// Every tile sums in the same order, 32 k after 32 k with the three parts in turn: a row's bits do not depend
// on the tile it is in.
//
// Reached on one core of a Xeon of the fifth generation (FMA peak 180 GFLOP/s, reads 18 GB/s; busy host),
// 2026-11-28, AVX-512 in brackets: d 512: 1 row 15.7 (19.0) GB/s, 16 rows 151 (123) GFLOP/s, 64 rows 313
// (144), 256 rows 401 (146), 1,024 rows 410 (135); d 2048: 1 row 19 (18) GB/s, 256 rows 243 (132) GFLOP/s,
// since fewer rows fit the L2 cache. 3 to 8 rows lose: 4 rows 42 (68).
#pragma once

#include "kernels.h"
#include "simd.h"
#include "tile.inl"

#if defined(__AMX_BF16__)
#define MOESCOPE_AMX 1
#else
#define MOESCOPE_AMX 0
#endif

namespace moescope::kernels {
namespace {

constexpr bool has_amx = MOESCOPE_AMX;
constexpr int parts = 3;
/** Values from one row's part to the next row's: whole lines, an odd number of them. */
constexpr int part_pitch = k_block + 32;
constexpr int64_t amx_rows = 16, amx_k = 32, amx_panels = 2;
/** As many as `few_by_panel` has sums for. */
constexpr int64_t few_rows = 2;
/** Bytes of a panel's block of k as pairs. */
constexpr int64_t pairs_bytes = k_block * panel_rows * 2;

/** How rows are shared out to tiles: all tiles have `high` rows, the last rows may be nobody's. */
struct Heights {
  int64_t tiles, high;
  int64_t rows() const { return tiles * high; }
};
MOESCOPE_INLINE Heights heights(int64_t rows) {
  const int64_t tiles = divide_up(rows, amx_rows);
  return {tiles, divide_up(rows, tiles)};
}

/** Bytes of scratch of a task: the parts (of few rows as f32), the totals, the pairs. */
MOESCOPE_INLINE int64_t amx_bytes(int64_t rows, int64_t k) {
  const int64_t all = heights(rows).rows(), blocks = divide_up(k, k_block);
  const int64_t tiled = blocks * parts * all * part_pitch * 2 + amx_panels * pairs_bytes;
  return most(tiled, blocks * parts * least(rows, few_rows) * k_block * 4) +
         amx_panels * all * panel_rows * 4;
}

#if MOESCOPE_AMX

// The compilers' tile loads do not say that they read memory.
#define MOESCOPE_SETTLE() asm volatile("" ::: "memory")

struct Parts {
  Vec of[parts];
};
/** A value as three of 8 bits. What is not finite has no rest. */
MOESCOPE_INLINE Parts parts_of(Vec v) {
  const IVec high = isplat(static_cast<int32_t>(0xffff0000u));
  const Vec a = as_float(as_int(v) & high);
  const Vec rest = select((as_int(v) & 0x7f800000) == 0x7f800000, Vec{}, v - a);
  const Vec middle = as_float(as_int(rest) & high);
  return {{a, middle, rest - middle}};
}

/** Gives the parts of rows [first, first + rows) to `put(row, k, parts, values left in the row)`, a vector at
 * a time. */
template <class F>
MOESCOPE_INLINE void cut_rows(const Product& p, int64_t first, int64_t rows, const F& put) {
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t i = first + r;
    const float* x = p.x + (p.x_rows ? p.x_rows[i] : i) * p.x_stride;
    const Vec scale = splat(p.x_scale ? p.x_scale[i] : 1.f);
    for (int64_t k = 0; k < p.w.k; k += lanes) {
      const int64_t left = p.w.k - k;
      put(r, k, parts_of((left >= lanes ? load(x + k) : load_part(x + k, left)) * scale), left);
    }
  }
}

/** Parts as bf16: block b, part p, row r at ((b * 3 + p) * all + r) * part_pitch. */
static void cut_many(const Product& p, int64_t first, int64_t rows, int64_t all, uint16_t* out) {
  const auto store_16 = [](uint16_t* to, Vec v) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi32_epi16((__m512i)((UVec)v >> 16)));
  };
  cut_rows(p, first, rows, [&](int64_t r, int64_t k, const Parts& v, int64_t left) MOESCOPE_ALWAYS {
    uint16_t* to = out + (k / k_block * parts * all + r) * part_pitch + k % k_block;
    for (int part = 0; part < parts; ++part, to += all * part_pitch) {
      store_16(to, v.of[part]);
      // The instruction goes on to a multiple of 32.
      if (left <= lanes && k % amx_k == 0) store_16(to + lanes, Vec{});
    }
  });
}

/** A panel's block of k as pairs: [half of the columns][k / 2][16], with zeros up to a multiple of 32 k. */
static void pair_up(const char* w, int64_t kc, char* out) {
  for (int64_t k = 0; k < divide_up(kc, amx_k) * amx_k; k += 2) {
    __builtin_prefetch(w + (k + k_block) * 64);
    __builtin_prefetch(w + (k + k_block) * 64 + 64);
    const UVec a = k < kc ? loadu(w + k * 64) : UVec{}, b = k + 1 < kc ? loadu(w + k * 64 + 64) : UVec{};
    const UVec low = (a & 0xffffu) | (b << 16), high = (a >> 16) | (b & 0xffff0000u);
    std::memcpy(out + k * 32, &low, sizeof low);
    std::memcpy(out + pairs_bytes / 2 + k * 32, &high, sizeof high);
  }
}

/** Tiles 0 to 3: sums of 16 rows by a panel's 32 columns, at `totals` and at `other`, which may be the same
 * place (then tiles 2 and 3 are nobody's). */
MOESCOPE_INLINE void begin_totals(const float* totals, const float* other, bool first) {
  if (first) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, totals, panel_rows * 4);
    _tile_loadd(1, totals + 16, panel_rows * 4);
    _tile_loadd(2, other, panel_rows * 4);
    _tile_loadd(3, other + 16, panel_rows * 4);
  }
}
MOESCOPE_INLINE void end_totals(float* totals, float* other) {
  _tile_stored(0, totals, panel_rows * 4);
  _tile_stored(1, totals + 16, panel_rows * 4);
  if (other == totals) return;
  _tile_stored(2, other, panel_rows * 4);
  _tile_stored(3, other + 16, panel_rows * 4);
}

/** totals (+)= two tiles of `high` rows against a panel. `part` is the distance of a row's parts. */
static void two_by_panel(const uint16_t* x, int64_t part, int64_t high, const char* pairs, int64_t steps,
                         float* totals, bool first) {
  const int64_t next = high * part_pitch;
  float* below = totals + high * panel_rows;
  begin_totals(totals, below, first);
  for (int64_t s = 0; s < steps; ++s) {
    _tile_loadd(6, pairs + s * 1024, 64);
    _tile_loadd(7, pairs + pairs_bytes / 2 + s * 1024, 64);
    for (int p = 0; p < parts; ++p) {
      const uint16_t* a = x + p * part + s * amx_k;
      _tile_loadd(4, a, part_pitch * 2);
      _tile_loadd(5, a + next, part_pitch * 2);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  end_totals(totals, below);
}

/** The same of one tile of rows and `count` (one or two) panels, their totals `pitch` apart. */
static void one_by_panels(const uint16_t* x, int64_t part, const char* pairs, int count, int64_t steps,
                          float* totals, int64_t pitch, bool first) {
  float* second = totals + (count - 1) * pitch;
  begin_totals(totals, second, first);
  for (int64_t s = 0; s < steps; ++s) {
    const uint16_t* a = x + s * amx_k;
    const char* b = pairs + s * 1024;
    _tile_loadd(6, b, 64);
    _tile_loadd(7, b + pairs_bytes / 2, 64);
    _tile_loadd(4, a, part_pitch * 2);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a + part, part_pitch * 2);
    _tile_dpbf16ps(0, 5, 6);
    _tile_dpbf16ps(1, 5, 7);
    _tile_loadd(4, a + 2 * part, part_pitch * 2);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if (count == 1) continue;
    _tile_loadd(6, b + pairs_bytes, 64);
    _tile_loadd(7, b + pairs_bytes + pairs_bytes / 2, 64);
    _tile_loadd(4, a, part_pitch * 2);
    _tile_dpbf16ps(2, 4, 6);
    _tile_dpbf16ps(3, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    _tile_loadd(4, a + 2 * part, part_pitch * 2);
    _tile_dpbf16ps(2, 4, 6);
    _tile_dpbf16ps(3, 4, 7);
  }
  end_totals(totals, second);
}

// A tile takes as long for one row as for sixteen. Up to few_rows rows are therefore summed with AVX-512, at
// the pace of the memory, in the very order in which the instruction sums (Intel's manual, TDPBF16PS: of 32 k
// the even and the odd ones by themselves, with FMAs from zero; then both; subnormals are zero): the bits are
// the same.

/** Parts as f32: block b, part p, row r at ((b * 3 + p) * rows + r) * k_block. */
static void cut_few(const Product& p, int64_t first, int64_t rows, float* out) {
  cut_rows(p, first, rows, [&](int64_t r, int64_t k, const Parts& v, int64_t) MOESCOPE_ALWAYS {
    float* to = out + (k / k_block * parts * rows + r) * k_block + k % k_block;
    for (int part = 0; part < parts; ++part) store(to + part * rows * k_block, v.of[part]);
  });
}

/** totals[r] (+)= R rows against a panel's block of k. */
template <int R>
static void few_by_panel(const char* w, const float* x, int64_t part, int64_t kc, float* totals, bool first) {
  Vec total[R][2] = {};
  if (!first)
    for (int r = 0; r < R; ++r)
      for (int half = 0; half < 2; ++half) total[r][half] = load(totals + r * panel_rows + half * lanes);
  for (int64_t s = 0; s < kc; s += amx_k) {
    Vec sum[R][parts][2][2] = {};  // [even or odd k][half of the columns]
    const int64_t end = least(s + amx_k, kc);
    const auto meet = [&](int64_t k, int odd) MOESCOPE_ALWAYS {
      __builtin_prefetch(w + (k + k_block) * 64);
      Vec low, high;
      widen<false>(w, k, low, high);
      for (int r = 0; r < R; ++r)
        for (int p = 0; p < parts; ++p) {
          const Vec b = splat(x[p * part + r * k_block + k]);
          sum[r][p][odd][0] = vfma(low, b, sum[r][p][odd][0]);
          sum[r][p][odd][1] = vfma(high, b, sum[r][p][odd][1]);
        }
    };
    int64_t k = s;
    for (; k + 1 < end; k += 2) meet(k, 0), meet(k + 1, 1);
    if (k < end) meet(k, 0);
    for (int r = 0; r < R; ++r)
      for (int p = 0; p < parts; ++p)
        for (int half = 0; half < 2; ++half) total[r][half] += sum[r][p][0][half] + sum[r][p][1][half];
  }
  for (int r = 0; r < R; ++r)
    for (int half = 0; half < 2; ++half) store(totals + r * panel_rows + half * lanes, total[r][half]);
}

/** All tiles have `high` rows of 16 columns of f32 or of 32 k of bf16, the weights' 16 pairs. */
static void configure(int64_t high) {
  struct alignas(64) {
    uint8_t palette = 1, start = 0, unused[14] = {};
    uint16_t bytes[16] = {};
    uint8_t rows[16] = {};
  } c;
  for (int t = 0; t < 8; ++t) c.bytes[t] = 64, c.rows[t] = static_cast<uint8_t>(high);
  c.rows[6] = c.rows[7] = 16;
  MOESCOPE_SETTLE();
  _tile_loadconfig(&c);
}

#endif

}  // namespace
}  // namespace moescope::kernels
