// Attention of many query rows: a task is one head and as many rows as two vectors have lanes.
//
// Serves head_dim 16..256, rows from 8 to whole tiles, any key ranges. Every lane is one query row: scores
// are made transposed, [keys][rows], from Q^T (packed once a task) and K as it lies, so that softmax, masks
// and statistics are plain vertical vector arithmetic without any reduction across lanes, and the second
// product reads V as it lies. 4 * head_dim flops a (row, key) pair plus one exponential; K and V are read
// once per 32 rows.
//
// Reached on one Zen 5 core (AVX-512, 290 GFLOP/s), 2026-11-24, f32 keys and values: 1,024 causal rows 55 %
// of the FMA peak at head_dim 32, 63 % at 64; 2,048 rows 70 % at 128; 64 rows past 8,192 keys 60 %. The
// exponentials are most of the rest. Statistics cost 20 %, 11 %, 5 % and 2 % of it.
#pragma once

#include "kernels.h"
#include "matmul.inl"
#include "simd.h"
#include "softmax.inl"

namespace moescope::kernels {
namespace {

constexpr int query_rows = 2 * lanes;
constexpr int key_block = 144;
constexpr int key_tile = tile_rows;

/** out[r][2 vectors] = sum over k of x[r * row + k * step] * w[k][2 vectors], r < R. One of row and step
 * is 1. */
template <int R, bool along>
static void lane_tile(const float* w, const float* x, int64_t stride, int64_t count, float* out,
                      const Vec* keep) {
  Vec sum[R][2];
  for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = Vec{};
  if constexpr (along) {  // x rows are `stride` apart: three to a pointer, for x86's addressing
    const float* row[(R + 2) / 3];
    for (int i = 0; i < (R + 2) / 3; ++i) row[i] = x + 3 * i * stride;
    for (int64_t k = 0; k < count; ++k, w += query_rows) {
      const Vec a = load(w), b = load(w + lanes);
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const Vec s = splat(row[r / 3][k + r % 3 * stride]);
        sum[r][0] += a * s;
        sum[r][1] += b * s;
      }
    }
  } else {
    for (int64_t k = 0; k < count; ++k, w += query_rows, x += stride) {
      const Vec a = load(w), b = load(w + lanes);
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const Vec s = splat(x[r]);
        sum[r][0] += a * s;
        sum[r][1] += b * s;
      }
    }
  }
  for (int r = 0; r < R; ++r, out += query_rows) {
    if (keep) {
      sum[r][0] += load(out) * keep[0];
      sum[r][1] += load(out + lanes) * keep[1];
    }
    store(out, sum[r][0]);
    store(out + lanes, sum[r][1]);
  }
}
using LaneTile = void (*)(const float*, const float*, int64_t, int64_t, float*, const Vec*);
struct LaneTiles {
  LaneTile of[2][key_tile + 1];
};
template <int R>
constexpr void list_lane_tiles(LaneTiles& t) {
  t.of[0][R] = lane_tile<R, false>, t.of[1][R] = lane_tile<R, true>;
  if constexpr (R > 1) list_lane_tiles<R - 1>(t);
}
constexpr LaneTiles lane_tiles = [] {
  LaneTiles t{};
  list_lane_tiles<key_tile>(t);
  return t;
}();

/** `Soft`, a lane a query row. */
struct SoftLanes {
  Vec m, l, spread, l_off, spread_off, distance, local, sink;
  IVec argmax, lo, hi;
  Vec cool;  // 1 / temperature
};

/** Scores of keys [first, first + count) at s (a row of query_rows each) become weights; returns the factor
 * of the past. */
template <bool masked, bool stats>
static Vec soften(SoftLanes& q, float* s, int32_t first, int32_t count, bool two_temperatures,
                  bool some_local, bool some_sink) {
  Vec m = q.m;
  for (int32_t j = 0; j < count; ++j) {
    Vec v = load(s + j * query_rows);
    const int32_t key = first + j;
    if constexpr (masked) {
      v = select((q.lo <= key) & (q.hi > key), v, splat(-1e30f));
      store(s + j * query_rows, v);
    }
    if constexpr (stats) {
      const IVec more = v > m;
      q.argmax = select(more, isplat(key), q.argmax);
      m = select(more, v, m);
    } else {
      m = vmax(v, m);
    }
  }
  const Vec gap = q.m - m, factor = vexp_negative(gap);
  q.m = m;
  Vec l = q.l * factor, spread = (q.spread + q.l * gap) * factor, distance = q.distance * factor,
      local = q.local * factor;
  Vec l_off = q.l_off, spread_off = q.spread_off;
  if constexpr (stats) {
    q.sink *= factor;
    if (two_temperatures) {
      const Vec cooled = gap * q.cool, factor_off = vexp_negative(cooled);
      spread_off = (spread_off + l_off * cooled) * factor_off;
      l_off *= factor_off;
    }
  }
  const IVec reach = q.hi - 1;
  for (int32_t j = 0; j < count; ++j) {
    const int32_t key = first + j;
    const Vec x = load(s + j * query_rows) - m;
    Vec p = vexp_negative(x);
    IVec seen;
    if constexpr (masked) {
      seen = (q.lo <= key) & (q.hi > key);
      p = select(seen, p, Vec{});
    }
    store(s + j * query_rows, p);
    l += p;
    if constexpr (stats) {
      spread += p * (masked ? select(seen, x, Vec{}) : x);
      distance += p * __builtin_convertvector(reach - key, Vec);
      if (some_local) local += select(q.hi - local_window <= key, p, Vec{});
      if (some_sink) q.sink += select(q.lo == key, p, Vec{});
      if (two_temperatures) {
        const Vec y = (masked ? select(seen, x, Vec{}) : x) * q.cool;
        Vec e = vexp_negative(y);
        if constexpr (masked) e = select(seen, e, Vec{});
        l_off += e;
        spread_off += e * y;
      }
    }
  }
  q.l = l;
  if constexpr (stats)
    q.spread = spread, q.distance = distance, q.local = local, q.l_off = l_off, q.spread_off = spread_off;
  return factor;
}

/** Floats of scratch: Q^T, O^T and a block of scores. */
static int64_t lane_floats(const Attention& a) { return (2 * a.head_dim + key_block) * int64_t{query_rows}; }

static void attend_lanes(const Attention& a, int head, int64_t row0, int64_t rows, float* scratch) {
  const int d = a.head_dim, kv = head / (a.heads / a.kv_heads);
  float *qt = scratch, *ot = qt + d * query_rows, *s = ot + d * query_rows;
  alignas(64) int32_t lo[query_rows], hi[query_rows];
  alignas(64) float cool[query_rows];
  int32_t first = INT32_MAX, last_lo = INT32_MIN, first_hi = INT32_MAX, last = INT32_MIN;
  bool two = false;
  for (int i = 0; i < query_rows; ++i) {
    const bool live = i < rows;
    const int64_t row =
        row0 + (live ? i : 0);  // spare lanes repeat the first row, so that they need no masks
    const float* q = a.q + row * a.q_stride + int64_t{head} * d;
    for (int c = 0; c < d; ++c) qt[c * query_rows + i] = q[c] * a.scale;
    lo[i] = a.lo[row];
    hi[i] = a.hi[row];
    cool[i] = a.temperature ? 1.f / a.temperature[row] : 1.f;
    two |= cool[i] != 1.f;
    first = lo[i] < first ? lo[i] : first;
    last_lo = lo[i] > last_lo ? lo[i] : last_lo;
    first_hi = hi[i] < first_hi ? hi[i] : first_hi;
    last = hi[i] > last ? hi[i] : last;
  }
  SoftLanes soft[2];
  for (int half = 0; half < 2; ++half) {
    SoftLanes& q = soft[half];
    q.m = splat(-1e30f);
    q.l = q.spread = q.l_off = q.spread_off = q.distance = q.local = q.sink = Vec{};
    q.argmax = isplat(-1);
    std::memcpy(&q.lo, lo + half * lanes, sizeof q.lo);
    std::memcpy(&q.hi, hi + half * lanes, sizeof q.hi);
    q.cool = load(cool + half * lanes);
  }
  std::memset(ot, 0, static_cast<size_t>(d) * query_rows * 4);

  const float *keys = a.k + kv * a.k_head_stride, *values = a.v + kv * a.v_head_stride;
  for (int32_t from = first; from < last; from += key_block) {
    const int32_t count = static_cast<int32_t>(least(key_block, last - from));
    for (int32_t j = 0; j < count; j += key_tile) {
      const int32_t tall = static_cast<int32_t>(least(key_tile, count - j));
      lane_tiles.of[1][tall](qt, keys + (from + j) * a.k_stride, a.k_stride, d, s + j * query_rows, nullptr);
    }
    const bool masked = from < last_lo || from + count > first_hi;
    const bool some_local = from + count > first_hi - local_window,
               some_sink = from <= last_lo && first < from + count;
    Vec keep[2];
    for (int half = 0; half < 2; ++half) {
      float* h = s + half * lanes;
      if (a.stats)
        keep[half] = masked ? soften<true, true>(soft[half], h, from, count, two, some_local, some_sink)
                            : soften<false, true>(soft[half], h, from, count, two, some_local, some_sink);
      else
        keep[half] = masked ? soften<true, false>(soft[half], h, from, count, false, false, false)
                            : soften<false, false>(soft[half], h, from, count, false, false, false);
    }
    for (int c = 0; c < d; c += key_tile) {
      const int tall = static_cast<int>(least(key_tile, d - c));
      lane_tiles.of[0][tall](s, values + from * a.v_stride + c, a.v_stride, count, ot + c * query_rows, keep);
    }
  }

  for (int i = 0; i < rows; ++i) {
    const SoftLanes& q = soft[i / lanes];
    const int lane = i % lanes;
    const float l = q.l[lane], inverse = l > 0 || l != l ? 1.f / l : 0.f;  // a row without keys gives zeros
    float* out = a.out + (row0 + i) * a.out_stride + int64_t{head} * d;
    for (int c = 0; c < d; ++c) out[c] = ot[c * query_rows + i] * inverse;
    if (a.stats || a.lse)
      finish(a, row0 + i, head,
             Soft{q.m[lane], l, q.spread[lane], q.l_off[lane], q.spread_off[lane], q.distance[lane],
                  q.local[lane], q.sink[lane], q.argmax[lane]});
  }
}

static bool attend_many(const Run& run, const Attention& a) {
  const int64_t blocks = divide_up(a.rows, query_rows);
  run.pool.reserve(run.threads, static_cast<size_t>(lane_floats(a)) * 4);
  return run.pool.parallel_for(
      run.threads, blocks * a.heads, 1, run.cancel, [&](int64_t begin, int64_t, int worker) {
        // Late rows see most keys: they go first. Heads of one group follow each other and share K and V in
        // the cache.
        const int64_t block = blocks - 1 - begin / a.heads, row0 = block * query_rows;
        attend_lanes(a, static_cast<int>(begin % a.heads), row0, least(query_rows, a.rows - row0),
                     static_cast<float*>(run.pool.scratch(worker)));
      });
}

}  // namespace
}  // namespace moescope::kernels
