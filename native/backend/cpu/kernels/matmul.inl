// y (+)= W x, and silu(W x) * (Up x): row groups of any size against packed matrices (see Packed).
//
// Serves n, k from 32 to 16k with m from 1 (decode: every weight byte is read once) to thousands of rows
// (prefill: 2 m n k flops). A tile is R rows by P half-panels of 2 vectors, its sums in registers: 24 of them
// on AVX-512, where the loop over k does 24 FMAs for 2 loads of weights and 12 broadcasts. Blocks of k keep a
// panel in the L1 cache over the rows, and a block of rows stays in the L2 cache over the panels.
//
// Reached on one Zen 5 core (AVX-512: 290 GFLOP/s, reads 35 GB/s), 2026-11-24, d x d weights read from
// memory, d 160 to 2048: 64 to 1,024 rows 79-86 % of the FMA peak (f32 weights 72-86 %), 16 rows 81-89 % (f32
// 62-74 %, bound by reading them), 4 rows 81-99 % and 1 row 94-107 % of the read bandwidth. Two cores: 80 %
// of their peak at 1,024 rows, 75-96 % of their 67 GB/s at 1.
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
constexpr int64_t x_bytes = 512 << 10;  // of a block of rows, all k: half of a usual L2 cache

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
static void tile(const char* const* w, const float* x, int64_t kc, float* totals, int64_t pitch, bool first) {
  Vec sum[P][R][2];
  for (int u = 0; u < P; ++u)
    for (int r = 0; r < R; ++r) sum[u][r][0] = sum[u][r][1] = Vec{};
  const char* unit[P];
  for (int u = 0; u < P; ++u) unit[u] = w[u];
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

using Tile = void (*)(const char* const*, const float*, int64_t, float*, int64_t, bool);
struct Tiles {
  Tile of[2][3][tile_rows + 1];  // [wide][log2 units][rows]
};
template <int R>
constexpr void list_tiles(Tiles& t) {
  t.of[0][0][R] = tile<R, 1, false>, t.of[1][0][R] = tile<R, 1, true>;
  if constexpr (tile_units(R) >= 2) t.of[0][1][R] = tile<R, 2, false>, t.of[1][1][R] = tile<R, 2, true>;
  if constexpr (tile_units(R) >= 4) t.of[0][2][R] = tile<R, 4, false>, t.of[1][2][R] = tile<R, 4, true>;
  if constexpr (R > 1) list_tiles<R - 1>(t);
}
constexpr Tiles tiles = [] {
  Tiles t{};
  list_tiles<tile_rows>(t);
  return t;
}();

/** How a product is cut into tasks: row blocks by runs of panels. */
struct Cut {
  int64_t rows, row_blocks, run, runs;
  int64_t tasks() const { return row_blocks * runs; }
};
MOESCOPE_INLINE Cut cut(const Product& p, int64_t wanted) {
  Cut c;
  const int64_t count = panels(p.w.n), deep = divide_up(p.w.k, k_block) * x_pitch * 4;
  const int64_t fit = most(x_bytes / deep / tile_rows, 1) * tile_rows;
  c.row_blocks = divide_up(p.m, least(fit, most(4 * tile_rows, divide_up(p.m, wanted))));
  c.rows = divide_up(p.m, c.row_blocks);
  c.row_blocks = divide_up(p.m, c.rows);
  // A run shorter than four panels would spend its time on copying rows.
  c.runs = most(1, least(divide_up(wanted, c.row_blocks), count / 4));
  c.run = divide_up(count, c.runs);
  c.runs = divide_up(count, c.run);
  return c;
}

/** Copies rows [first, first + rows) into blocks of k: block b, row r at (b * rows + r) * x_pitch. */
static void gather(const Product& p, int64_t first, int64_t rows, float* out) {
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t i = first + r;
    const float* x = p.x + (p.x_rows ? p.x_rows[i] : i) * p.x_stride;
    const float scale = p.x_scale ? p.x_scale[i] : 1.f;
    for (int64_t k0 = 0; k0 < p.w.k; k0 += k_block) {
      float* to = out + (k0 / k_block * rows + r) * x_pitch;
      const int64_t width = least(k_block, p.w.k - k0);
      int64_t c = 0;  // (vectors: a copy this short is slow as a block move)
      for (; c + lanes <= width; c += lanes) store(to + c, load(x + k0 + c) * splat(scale));
      for (; c < width; ++c) to[c] = x[k0 + c] * scale;
    }
  }
}

/** Writes a unit's totals to y: columns [column, column + lanes) and those 16 further, as far as the matrix
 * goes. */
template <bool pair, bool add>
static void emit(const Product& p, int64_t first, int64_t rows, int64_t column, const float* totals,
                 const float* up) {
  const bool whole = column + 16 + lanes <= p.w.n;
  for (int64_t r = 0; r < rows; ++r, totals += unit_columns, up += pair ? unit_columns : 0) {
    const int64_t i = first + r;
    float* y = p.y + (p.y_rows ? p.y_rows[i] : i) * p.y_stride + column;
    Vec v[2] = {load(totals), load(totals + lanes)};
    for (int half = 0; half < 2; ++half)
      if constexpr (pair) v[half] = vsilu(v[half]) * load(up + half * lanes);
    if (whole) {
      store(y, add ? load(y) + v[0] : v[0]);
      store(y + 16, add ? load(y + 16) + v[1] : v[1]);
      continue;
    }
    for (int half = 0; half < 2; ++half, y += 16) {
      const int64_t live = least(p.w.n - column - half * 16, lanes);
      if (live > 0) store_part(y, add ? load_part(y, live) + v[half] : v[half], live);
    }
  }
}

/** One task: rows [first, first + rows) against panels [from, to). `scratch` holds the gathered rows, then
 * the totals. */
static void task(const Product& p, int64_t first, int64_t rows, int64_t from, int64_t to, float* scratch) {
  const bool wide = p.w.format == Format::f32, pair = p.up.data != nullptr;
  const int64_t k = p.w.k, k_blocks = divide_up(k, k_block), per_k = wide ? 128 : 64;
  gather(p, first, rows, scratch);
  float* totals = scratch + k_blocks * rows * x_pitch;
  const int64_t pitch = rows * unit_columns;

  const int64_t row_tiles = divide_up(rows, tile_rows), high = divide_up(rows, row_tiles);
  const int64_t high_count =
      rows - row_tiles * (high - 1);  // this many tiles have `high` rows, the others one fewer
  const int most_units = tile_units(static_cast<int>(high));

  const int64_t last = to * groups;
  for (int64_t unit = from * groups; unit < last;) {
    // A batch of units: with a pair, gate and up in turn.
    const char* w[max_units];
    int64_t column[max_units];
    int count = 0;
    const int limit = pair && most_units < 2 ? 2 : most_units;
    for (; unit < last && count < limit; ++unit) {
      const int64_t panel = unit / groups, g = unit % groups, offset = panel * k * per_k + g * lanes * 4;
      column[count] = panel * panel_rows + g * lanes;
      w[count++] = static_cast<const char*>(p.w.data) + offset;
      if (pair) {
        column[count] = column[count - 1];
        w[count++] = static_cast<const char*>(p.up.data) + offset;
      }
    }
    for (int done = 0; done < count;) {
      int log2 = 0;
      while ((2 << log2) <= count - done && (2 << log2) <= most_units) ++log2;
      for (int64_t b = 0; b < k_blocks; ++b) {
        const int64_t kc = least(k_block, k - b * k_block);
        const float* x = scratch + b * rows * x_pitch;
        const char* at[max_units];
        for (int u = 0; u < 1 << log2; ++u) at[u] = w[done + u] + b * k_block * per_k;
        for (int64_t t = 0, r = 0; t < row_tiles; ++t) {
          const int64_t height = high - (t >= high_count);
          tiles.of[wide][log2][height](at, x + r * x_pitch, kc, totals + done * pitch + r * unit_columns,
                                       pitch, b == 0);
          r += height;
        }
      }
      done += 1 << log2;
    }
    const auto write = pair ? (p.add ? emit<true, true> : emit<true, false>)
                            : (p.add ? emit<false, true> : emit<false, false>);
    for (int u = 0; u < count; u += 1 + pair)
      write(p, first, rows, column[u], totals + u * pitch, pair ? totals + (u + 1) * pitch : nullptr);
  }
}

static bool matmul(const Run& run, const Product* products, int count) {
  // Waking threads costs some microseconds: small work stays on the caller. 100 flops or 16 bytes a
  // nanosecond and core.
  double nanoseconds = 0;
  int64_t bytes = 0;
  for (int j = 0; j < count; ++j) {
    const Product& p = products[j];
    const double elements = static_cast<double>(p.w.n) * static_cast<double>(p.w.k) * (p.up.data ? 2 : 1);
    const double compute = elements * static_cast<double>(p.m) / 50,
                 read = elements * (p.w.format == Format::f32 ? 4 : 2) / 16;
    if (p.m > 0) nanoseconds += compute > read ? compute : read;
  }
  const int threads = nanoseconds < 8000 ? 1 : run.threads;
  // Tasks of some 20 us, so that no thread waits long for the last one.
  const int64_t wanted =
      threads == 1 ? 1 : most(2 * threads, least(12 * threads, static_cast<int64_t>(nanoseconds / 20000)));
  int64_t tasks = 0;
  const auto share = [&](const Product& p) {
    if (count == 1) return wanted;
    const double elements = static_cast<double>(p.w.n) * static_cast<double>(p.w.k) * (p.up.data ? 2 : 1);
    const double part = most(1, p.m) == 1 ? elements / 8 : elements * static_cast<double>(p.m) / 50;
    return most(1, static_cast<int64_t>(static_cast<double>(wanted) * (part / nanoseconds) + .5));
  };
  for (int j = 0; j < count; ++j) {
    const Product& p = products[j];
    if (p.m <= 0 || p.w.n <= 0) continue;
    const Cut c = cut(p, share(p));
    tasks += c.tasks();
    const int64_t floats = divide_up(p.w.k, k_block) * c.rows * x_pitch + max_units * c.rows * unit_columns;
    bytes = most(bytes, floats * 4);
  }
  run.pool.reserve(threads, static_cast<size_t>(bytes));
  return run.pool.parallel_for(threads, tasks, 1, run.cancel, [&](int64_t begin, int64_t, int worker) {
    for (int j = 0; j < count; ++j) {
      const Product& p = products[j];
      if (p.m <= 0 || p.w.n <= 0) continue;
      const Cut c = cut(p, share(p));
      if (begin >= c.tasks()) {
        begin -= c.tasks();
        continue;
      }
      const int64_t first = begin / c.runs * c.rows, from = begin % c.runs * c.run;
      return task(p, first, least(c.rows, p.m - first), from, least(from + c.run, panels(p.w.n)),
                  static_cast<float*>(run.pool.scratch(worker)));
    }
  });
}

}  // namespace
}  // namespace moescope::kernels
