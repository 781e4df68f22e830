// y (+)= W x, and silu(W x) * (Up x): row groups of any size against packed matrices (see Packed).
//
// Serves n, k from 32 to 16k with m from 1 (decode: every weight byte is read once) to thousands of rows
// (prefill: 2 m n k flops). Blocks of k keep a panel in the L1 cache over the rows, and a block of rows stays
// in the L2 cache over the panels. The tiles are in `tile.inl`, those of int4 in `int4.inl`.
//
// Reached on one Zen 5 core (AVX-512: 290 GFLOP/s, reads 35 GB/s), 2026-11-24, d x d weights read from
// memory, d 160 to 2048: 64 to 1,024 rows 79-86 % of the FMA peak (f32 weights 72-86 %), 16 rows 81-89 % (f32
// 62-74 %, bound by reading them), 4 rows 81-99 % and 1 row 94-107 % of the read bandwidth. Two cores: 80 %
// of their peak at 1,024 rows, 75-96 % of their 67 GB/s at 1.
#pragma once

#include "amx.inl"
#include "int4.inl"
#include "kernels.h"
#include "simd.h"
#include "tile.inl"

namespace moescope::kernels {
namespace {

constexpr int64_t x_bytes = 512 << 10;  // of a block of rows, all k: half of a usual L2 cache

using Tile = void (*)(const Unit*, const float*, int64_t, int64_t, float*, int64_t, bool);
enum Kind { kind_bf16, kind_f32, kind_int4, kind_spread };
struct Tiles {
  Tile of[4][3][tile_rows + 1];  // [kind][log2 units][rows]
};
template <int R, int P, int log2>
constexpr void list_units(Tiles& t) {
  t.of[kind_bf16][log2][R] = tile<R, P, false>;
  t.of[kind_f32][log2][R] = tile<R, P, true>;
  t.of[kind_int4][log2][R] = tile_int4<R, P, false>;
}
template <int R>
constexpr void list_tiles(Tiles& t) {
  list_units<R, 1, 0>(t);
  if constexpr (tile_units(R) >= 2) list_units<R, 2, 1>(t);
  if constexpr (tile_units(R) >= 4) list_units<R, 4, 2>(t);
  t.of[kind_spread][0][R] = tile_int4<R, 1, true>;
  if constexpr (R > 1) list_tiles<R - 1>(t);
}
constexpr Tiles tiles = [] {
  Tiles t{};
  list_tiles<tile_rows>(t);
  return t;
}();
// Several tiles of rows meet one unit at a time, the only way that spread weights are read.
static_assert(tile_units(tile_rows / 2 + 1) == 1);

/** Whether AMX makes it. */
MOESCOPE_INLINE bool on_amx(const Product& p) { return has_amx && p.w.format == Format::bf16; }

/** How a product is cut into tasks: row blocks by runs of panels. */
struct Cut {
  int64_t rows, row_blocks, run, runs;
  int64_t tasks() const { return row_blocks * runs; }
};
MOESCOPE_INLINE Cut cut(const Product& p, int64_t wanted) {
  Cut c;
  const bool amx = on_amx(p);
  const int64_t count = panels(p.w.n), tall = amx ? 2 * amx_rows : tile_rows;
  const int64_t deep = divide_up(p.w.k, k_block) * (amx ? parts * part_pitch * 2 : x_pitch * 4);
  const int64_t fit = most(x_bytes / deep / tall, 1) * tall;
  c.row_blocks = divide_up(p.m, least(fit, most(4 * tall, divide_up(p.m, wanted))));
  c.rows = divide_up(p.m, c.row_blocks);
  c.row_blocks = divide_up(p.m, c.rows);
  // A run shorter than this would spend its time on copying rows.
  c.runs = most(1, least(divide_up(wanted, c.row_blocks), count / (amx ? 16 : 4)));
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
      for (; c % 8; ++c) to[c] = 0;  // int4 goes on to here
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

/** The `emit` of this product. */
MOESCOPE_INLINE auto emitter(const Product& p) {
  return p.up.data ? (p.add ? emit<true, true> : emit<true, false>)
                   : (p.add ? emit<false, true> : emit<false, false>);
}

/** Bytes of 128 k of a panel, and of a value. */
MOESCOPE_INLINE int64_t block_bytes(Format f) {
  if (group_of(f) > 0) return int4_block_bytes(f, panel_rows);
  return k_block * panel_rows * (f == Format::f32 ? 4 : 2);
}
MOESCOPE_INLINE double bytes_a_value(Format f) {
  return static_cast<double>(block_bytes(f)) / (k_block * panel_rows);
}

/** One task: rows [first, first + rows) against panels [from, to). `scratch` holds the gathered rows, then
 * the totals, then what int4 needs. */
static void task(const Product& p, int64_t first, int64_t rows, int64_t from, int64_t to, float* scratch) {
  const Format format = p.w.format;
  const bool pair = p.up.data != nullptr;
  const auto write = emitter(p);
  const int64_t k = p.w.k, k_blocks = divide_up(k, k_block), step = block_bytes(format),
                group = group_of(format);
  const int64_t panel_bytes = group ? k_blocks * step : step / k_block * k;
  gather(p, first, rows, scratch);
  float* totals = scratch + k_blocks * rows * x_pitch;
  const int64_t pitch = rows * unit_columns;
  float* floats = totals + max_units * pitch;
  char* filled = reinterpret_cast<char*>(floats + spread_floats);

  const int64_t row_tiles = divide_up(rows, tile_rows), high = divide_up(rows, row_tiles);
  const int64_t high_count =
      rows - row_tiles * (high - 1);  // this many tiles have `high` rows, the others one fewer
  const int most_units = tile_units(static_cast<int>(high));
  const bool spreads = group && row_tiles > 1;
  const Kind kind = spreads ? kind_spread : group ? kind_int4 : format == Format::f32 ? kind_f32 : kind_bf16;

  const int64_t last = to * groups;
  for (int64_t unit = from * groups; unit < last;) {
    // A batch of units: with a pair, gate and up in turn.
    const char* w[max_units];  // the panel
    int64_t column[max_units];
    int count = 0;
    const int limit = pair && most_units < 2 ? 2 : most_units;
    for (; unit < last && count < limit; ++unit) {
      const int64_t panel = unit / groups;
      column[count] = panel * panel_rows + unit % groups * lanes;
      w[count++] = static_cast<const char*>(p.w.data) + panel * panel_bytes;
      if (pair) {
        column[count] = column[count - 1];
        w[count++] = static_cast<const char*>(p.up.data) + panel * panel_bytes;
      }
    }
    for (int done = 0; done < count;) {
      int log2 = 0;
      while ((2 << log2) <= count - done && (2 << log2) <= most_units) ++log2;
      for (int64_t b = 0; b < k_blocks; ++b) {
        const int64_t kc = least(k_block, k - b * k_block);
        const float* x = scratch + b * rows * x_pitch;
        Unit at[max_units];
        for (int u = 0; u < 1 << log2; ++u) {
          const int64_t lane = column[done + u] % panel_rows;
          const char* block = w[done + u] + b * step;
          if (group) {
            const int64_t stored = int4_panel_rows(p.w.n, column[done + u] / panel_rows);
            if (stored < panel_rows)
              block =
                  fill(filled + u * step, w[done + u] + b * int4_block_bytes(format, stored), stored, group);
            at[u].scales = block + int4_codes + lane * 2;
          }
          at[u].values = block + lane * 4;
        }
        if (spreads) at[0].values = spread(at[0].values, kc, floats);
        for (int64_t t = 0, r = 0; t < row_tiles; ++t) {
          const int64_t height = high - (t >= high_count);
          tiles.of[kind][log2][height](at, x + r * x_pitch, kc, group,
                                       totals + done * pitch + r * unit_columns, pitch, b == 0);
          r += height;
        }
      }
      done += 1 << log2;
    }
    for (int u = 0; u < count; u += 1 + pair)
      write(p, first, rows, column[u], totals + u * pitch, pair ? totals + (u + 1) * pitch : nullptr);
  }
}

#if MOESCOPE_AMX
/** `task`, of few rows and in AMX's order. */
static void few_task(const Product& p, int64_t first, int64_t rows, int64_t from, int64_t to,
                     float* scratch) {
  const bool pair = p.up.data != nullptr;
  const auto write = emitter(p);
  const int64_t k = p.w.k, k_blocks = divide_up(k, k_block), part = rows * k_block, pitch = rows * panel_rows;
  float* totals = scratch + k_blocks * parts * part;
  cut_few(p, first, rows, scratch);
  const unsigned was = _mm_getcsr();
  for (int64_t panel = from; panel < to; ++panel) {
    _mm_setcsr(was | 0x8040);  // subnormals are zero
    for (int u = 0; u < 1 + pair; ++u) {
      const char* w = static_cast<const char*>(u ? p.up.data : p.w.data) + panel * k * 64;
      for (int64_t b = 0; b < k_blocks; ++b) {
        const int64_t kc = least(k_block, k - b * k_block);
        const float* x = scratch + b * parts * part;
        float* t = totals + u * pitch;
        (rows == 1 ? few_by_panel<1> : few_by_panel<2>)(w + b * k_block * 64, x, part, kc, t, b == 0);
      }
    }
    _mm_setcsr(was);
    write(p, first, rows, panel * panel_rows, totals, totals + pitch);
  }
}

/** `task`, on AMX. */
static void amx_task(const Product& p, int64_t first, int64_t rows, int64_t from, int64_t to, char* scratch) {
  const bool pair = p.up.data != nullptr;
  const auto write = emitter(p);
  const int64_t k = p.w.k, k_blocks = divide_up(k, k_block), panel_bytes = k * panel_rows * 2;
  const Heights h = heights(rows);
  const int64_t all = h.rows(), part = all * part_pitch, pitch = all * panel_rows;
  uint16_t* x = reinterpret_cast<uint16_t*>(scratch);
  float* totals = reinterpret_cast<float*>(x + k_blocks * parts * part);
  char* pairs = reinterpret_cast<char*>(totals + amx_panels * pitch);
  cut_many(p, first, rows, all, x);
  configure(h.high);
  for (int64_t panel = from; panel < to;) {
    const int batch = pair ? 2 : static_cast<int>(least(amx_panels, to - panel));
    const char* w[amx_panels];
    for (int u = 0; u < batch; ++u)
      w[u] =
          static_cast<const char*>(pair && u ? p.up.data : p.w.data) + (panel + (pair ? 0 : u)) * panel_bytes;
    for (int64_t b = 0; b < k_blocks; ++b) {
      const int64_t kc = least(k_block, k - b * k_block), steps = divide_up(kc, amx_k);
      for (int u = 0; u < batch; ++u) pair_up(w[u] + b * k_block * 64, kc, pairs + u * pairs_bytes);
      MOESCOPE_SETTLE();
      const uint16_t* block = x + b * parts * part;
      int64_t t = 0;
      for (; t + 1 < h.tiles; t += 2)
        for (int u = 0; u < batch; ++u)
          two_by_panel(block + t * h.high * part_pitch, part, h.high, pairs + u * pairs_bytes, steps,
                       totals + u * pitch + t * h.high * panel_rows, b == 0);
      if (t < h.tiles)
        one_by_panels(block + t * h.high * part_pitch, part, pairs, batch, steps,
                      totals + t * h.high * panel_rows, pitch, b == 0);
      MOESCOPE_SETTLE();
    }
    for (int u = 0; u < batch; u += 1 + pair)
      write(p, first, rows, (panel + u) * panel_rows, totals + u * pitch, totals + pitch);
    panel += pair ? 1 : batch;
  }
  _tile_release();
}
#endif

static bool matmul(const Run& run, const Product* products, int count) {
  // Waking threads costs some microseconds: small work stays on the caller. 100 flops (AMX 400) or 16 bytes a
  // nanosecond and core.
  const auto nanoseconds_of = [](const Product& p) {
    const double elements = static_cast<double>(p.w.n) * static_cast<double>(p.w.k) * (p.up.data ? 2 : 1);
    const double compute = elements * static_cast<double>(p.m) / (on_amx(p) && p.m > few_rows ? 200 : 50),
                 read = elements * bytes_a_value(p.w.format) / 16;
    return p.m <= 0 ? 0 : compute > read ? compute : read;
  };
  double nanoseconds = 0;
  int64_t bytes = 0;
  for (int j = 0; j < count; ++j) nanoseconds += nanoseconds_of(products[j]);
  const int threads = nanoseconds < 8000 ? 1 : run.threads;
  // Tasks of some 20 us, so that no thread waits long for the last one.
  const int64_t wanted =
      threads == 1 ? 1 : most(2 * threads, least(12 * threads, static_cast<int64_t>(nanoseconds / 20000)));
  int64_t tasks = 0;
  const auto share = [&](const Product& p) {
    if (count == 1) return wanted;
    return most(1,
                static_cast<int64_t>(static_cast<double>(wanted) * (nanoseconds_of(p) / nanoseconds) + .5));
  };
  for (int j = 0; j < count; ++j) {
    const Product& p = products[j];
    if (p.m <= 0 || p.w.n <= 0) continue;
    const Cut c = cut(p, share(p));
    tasks += c.tasks();
    int64_t floats = divide_up(p.w.k, k_block) * c.rows * x_pitch + max_units * c.rows * unit_columns;
    if (group_of(p.w.format) > 0) floats += spread_floats + max_units * block_bytes(p.w.format) / 4;
    bytes = most(bytes, on_amx(p) ? amx_bytes(c.rows, p.w.k) : floats * 4);
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
      const int64_t rows = least(c.rows, p.m - first), to = least(from + c.run, panels(p.w.n));
#if MOESCOPE_AMX
      if (on_amx(p) && rows <= few_rows)
        return few_task(p, first, rows, from, to, static_cast<float*>(run.pool.scratch(worker)));
      if (on_amx(p)) return amx_task(p, first, rows, from, to, static_cast<char*>(run.pool.scratch(worker)));
#endif
      return task(p, first, rows, from, to, static_cast<float*>(run.pool.scratch(worker)));
    }
  });
}

}  // namespace
}  // namespace moescope::kernels
