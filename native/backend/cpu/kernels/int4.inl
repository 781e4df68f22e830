// Tiles of int4 weights (see Packed): sums of whole codes, a group of 32, 64 or 128 k at a time, which then
// take the group's scale. Codes are multiplied as they are, so that decode spends its time on reading: of 8 k
// and 32 rows, 128 bytes, AVX-512 makes 14 shifts, 16 table look-ups and 16 FMAs. Where several tiles of rows
// meet the same weights, codes become floats once, in a buffer that stays in the L1 cache.
//
// Reached on one core of a Xeon of the fifth generation (AVX-512: 190 GFLOP/s, reads 18 GB/s), 2026-11-28,
// 4096 x 4096 read from memory, against bf16 beside it: 1 row 0.64 ms in groups of 32, 0.59 of 128 (14.8
// GB/s; bf16 1.73 ms, 19.4 GB/s), 4 rows 1.25 ms (1.80), 16 rows 4.4 (4.4), 256 rows 65 and 63 ms (58 to 65).
// AVX2 there: 1 row 1.56 ms (2.65), bound by unpacking.
#pragma once

#include "kernels.h"
#include "simd.h"
#include "tile.inl"

namespace moescope::kernels {
namespace {

/** Bytes of codes in a block of a panel. */
constexpr int64_t int4_codes = int4_block * panel_rows / 2;
constexpr int64_t spread_floats = int4_block * unit_columns;
static_assert(int4_block == k_block);

/** f16 values, exactly. */
MOESCOPE_INLINE Vec load_f16(const char* p) {
#if defined(__AVX512F__)
  return (Vec)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif defined(__F16C__)
  return (Vec)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#else
  typedef uint16_t Half __attribute__((vector_size(lanes * 2)));
  Half half;
  std::memcpy(&half, p, sizeof half);
  const UVec h = __builtin_convertvector(half, UVec), size = h & 0x7fffu;
  const IVec wide = (IVec)(size << 13);
  const Vec tiny = __builtin_convertvector((IVec)size, Vec) * splat(0x1p-24f);
  const IVec finite = select((IVec)(size >= 0x7c00u), wide | 0x7f800000, wide + (112 << 23));
  return as_float(select((IVec)(size < 0x400u), as_int(tiny), finite) | (IVec)((h & 0x8000u) << 16));
#endif
}

/** Value j of each word of 8 codes, in the order of `Int4Layout::shift_of`. */
template <int j>
MOESCOPE_INLINE Vec code(UVec words) {
  constexpr int shift = 4 * (j / 2 + j % 2 * 4);
#if defined(__AVX512F__)
  // Only the low four bits choose.
  const __m512 table = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
  return (Vec)_mm512_permutexvar_ps((__m512i)(words >> shift), table);
#else
  // With the top bit of a code turned, it is a number of four bits with its sign.
  const UVec signs = words ^ 0x88888888u;
  return __builtin_convertvector((IVec)(signs << (28 - shift)) >> 28, Vec);
#endif
}

/** A block of the last panel, of which only `rows` are stored, as one of a whole panel; the others hold
 * anything. */
static const char* fill(char* to, const char* from, int64_t rows, int64_t group) {
  for (int64_t k = 0; k < int4_block; k += 8)
    std::memcpy(to + k / 8 * 128, from + k / 8 * rows * 4, static_cast<size_t>(rows) * 4);
  from += rows * (int4_block / 2);
  for (int64_t k = 0; k < int4_block; k += group)
    std::memcpy(to + int4_codes + k / group * 64, from + k / group * rows * 2, static_cast<size_t>(rows) * 2);
  return to;
}

/** The codes of kc k of a unit as floats, [k][unit_columns]. */
static const char* spread(const char* values, int64_t kc, float* out) {
  const char* begin = reinterpret_cast<const char*>(out);
  for (int64_t k = 0; k < kc; k += 8, values += 128, out += 8 * unit_columns) {
    const UVec low = loadu(values), high = loadu(values + 64);
    each_of_8([&](auto place) MOESCOPE_ALWAYS {
      constexpr int j = decltype(place)::value;
      store(out + j * unit_columns, code<j>(low));
      store(out + j * unit_columns + lanes, code<j>(high));
    });
  }
  return begin;
}

/** Like `tile`, of int4: from words, or, `are_spread`, from what `spread` made of them (then P is 1). x holds
 * zeros up to a multiple of 8. */
template <int R, int P, bool are_spread>
static void tile_int4(const Unit* units, const float* x, int64_t kc, int64_t group, float* totals,
                      int64_t pitch, bool first) {
  const char* values[P];
  for (int u = 0; u < P; ++u) values[u] = units[u].values;
  for (int64_t k0 = 0; k0 < kc; k0 += group) {
    Vec sum[P][R][2];
    for (int u = 0; u < P; ++u)
      for (int r = 0; r < R; ++r) sum[u][r][0] = sum[u][r][1] = Vec{};
    const int64_t end = least(k0 + group, kc);
    for (int64_t k = k0; k < end; k += 8) {
      each_of_8([&](auto place) MOESCOPE_ALWAYS {
        constexpr int j = decltype(place)::value;
        Vec low[P], high[P];
#pragma GCC unroll 4
        for (int u = 0; u < P; ++u) {
          if constexpr (are_spread) {
            const float* at = reinterpret_cast<const float*>(values[u]) + j * unit_columns;
            low[u] = load(at);
            high[u] = load(at + lanes);
          } else {
            low[u] = code<j>(loadu(values[u]));
            high[u] = code<j>(loadu(values[u] + 64));
          }
        }
#pragma GCC unroll 12
        for (int r = 0; r < R; ++r) {
          const Vec b = splat(x[r * x_pitch + k + j]);
#pragma GCC unroll 4
          for (int u = 0; u < P; ++u) {
            sum[u][r][0] += low[u] * b;
            sum[u][r][1] += high[u] * b;
          }
        }
      });
      for (int u = 0; u < P; ++u) {
        if constexpr (!are_spread) {
          // The next block.
          __builtin_prefetch(values[u] + int4_codes + 256);
          __builtin_prefetch(values[u] + int4_codes + 256 + 64);
        }
        values[u] += are_spread ? 8 * unit_columns * 4 : 128;
      }
    }
#pragma GCC unroll 4
    for (int u = 0; u < P; ++u) {
      const char* scales = units[u].scales + k0 / group * 64;
      const Vec scale[2] = {load_f16(scales), load_f16(scales + 32)};
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r)
        for (int half = 0; half < 2; ++half) {
          float* t = totals + u * pitch + r * unit_columns + half * lanes;
          store(t, vfma(sum[u][r][half], scale[half], first && k0 == 0 ? Vec{} : load(t)));
        }
    }
  }
}

}  // namespace
}  // namespace moescope::kernels
