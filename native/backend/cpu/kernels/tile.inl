// The register tiles of `matmul` over f32 and bf16 weights, and what all tiles agree on. A tile is R rows by
// P half-panels of 2 vectors, its sums in registers: 24 of them on AVX-512, where the loop over k does 24
// FMAs for 2 loads of weights and 12 broadcasts.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace moescope::kernels {
namespace {

// Sums are made in blocks of this many k, in order, in every tile: a row's bits do not depend on the tile it
// is in. The shorter sums also lose less to rounding.
constexpr int k_block = 128;
// Packed rows of x are this far apart: a whole number of lines, but no power of two, which would fill one
// cache set.
constexpr int x_pitch = k_block + 16;

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int tile_rows = 12;
constexpr int tile_units(int rows) { return rows <= 2 ? 4 : rows <= 6 ? 2 : 1; }
#elif defined(__AVX2__)
constexpr int tile_rows = 6;
constexpr int tile_units(int rows) { return rows <= 1 ? 4 : rows <= 3 ? 2 : 1; }
#else
constexpr int tile_rows = 6;
constexpr int tile_units(int rows) { return rows <= 1 ? 4 : rows <= 3 ? 2 : 1; }
#endif
constexpr int max_units = 4;
constexpr int groups =
    16 / lanes;  // a unit is the lanes [g, g + lanes) of both halves of a panel's 32 columns
constexpr int unit_columns = 2 * lanes;

/** Where a unit's weights of a block of k begin, and, of int4, its scales there. */
struct Unit {
  const char* values;
  const char* scales = nullptr;
};

template <bool wide>
MOESCOPE_INLINE void widen(const char* w, int64_t k, Vec& low, Vec& high) {
  if constexpr (wide) {
    low = load(reinterpret_cast<const float*>(w + k * 128));
    high = load(reinterpret_cast<const float*>(w + k * 128 + 64));
  } else {
    const UVec words = loadu(w + k * 64);
    low = (Vec)(words << 16);
    high = (Vec)(words & 0xffff0000u);
  }
}

/** totals[u][r] (+)= sum over kc of x[r] * w[u], for R rows and P units. x rows are x_pitch apart, units of
 * totals `pitch`. */
template <int R, int P, bool wide>
static void tile(const Unit* units, const float* x, int64_t kc, int64_t /*group*/, float* totals,
                 int64_t pitch, bool first) {
  Vec sum[P][R][2];
  for (int u = 0; u < P; ++u)
    for (int r = 0; r < R; ++r) sum[u][r][0] = sum[u][r][1] = Vec{};
  const char* unit[P];
  for (int u = 0; u < P; ++u) unit[u] = units[u].values;
  for (int64_t k = 0; k < kc; ++k) {
    Vec low[P], high[P];
#pragma GCC unroll 4
    for (int u = 0; u < P; ++u) {
      // The next block: from memory it comes at the pace of the first rows' arithmetic (16 rows: 130 -> 250
      // GFLOP/s).
      __builtin_prefetch(unit[u] + (k + k_block) * (wide ? 128 : 64));
      widen<wide>(unit[u], k, low[u], high[u]);
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const Vec b = splat(x[r * x_pitch + k]);
#pragma GCC unroll 4
      for (int u = 0; u < P; ++u) {
        sum[u][r][0] += low[u] * b;
        sum[u][r][1] += high[u] * b;
      }
    }
  }
  for (int u = 0; u < P; ++u)
    for (int r = 0; r < R; ++r) {
      float* t = totals + u * pitch + r * unit_columns;
      store(t, first ? sum[u][r][0] : load(t) + sum[u][r][0]);
      store(t + lanes, first ? sum[u][r][1] : load(t + lanes) + sum[u][r][1]);
    }
}

}  // namespace
}  // namespace moescope::kernels
