// Attention of few query rows: a task is one row, one kv head with its group of query heads, and a stretch of
// keys.
//
// Serves decode (one row) and tiles of a few rows. K and V of a stretch are read once for all heads of the
// group, 8 * head_dim bytes a key: bound by memory beyond the caches. Stretches have a fixed length whatever
// the thread count, and are joined in order, so that results do not depend on it.
//
// Reached on one Zen 5 core (reads 35 GB/s), 2026-11-24: one row, 8 kv heads of 128, 131,072 keys 30 GB/s
// (81-89 %); within the caches 33-47 GB/s. Statistics cost 1-8 %.
#pragma once

#include "attention_prefill.inl"
#include "kernels.h"
#include "logits.inl"
#include "rows.inl"
#include "simd.h"
#include "softmax.inl"

namespace moescope::kernels {
namespace {

constexpr int32_t stretch = 512;
/** Keys of a block: their K, then their V, stay in the L1 cache over the heads of a group. */
MOESCOPE_INLINE int32_t block_keys(int head_dim) { return head_dim <= 32 ? 256 : head_dim <= 64 ? 128 : 64; }

/** s[j] = scale * q . k_j for `count` keys; s has room for whole vectors. The first head to read a block
 * fetches the next. */
template <bool fetch>
static void dots(const float* q, const float* k, int64_t k_stride, int d, int32_t count, float scale,
                 float* s) {
  const int64_t ahead = block_keys(d) * k_stride;
  const int whole = d / lanes * lanes;
  for (int32_t j = 0; j < count; j += lanes) {
    const int32_t live = count - j;
    const float* keys[lanes];
    for (int i = 0; i < lanes; ++i) keys[i] = k + (j + (i < live ? i : 0)) * k_stride;
    Vec part[lanes];
    for (int i = 0; i < lanes; ++i) part[i] = Vec{};
    for (int c = 0; c < whole; c += lanes) {
      const Vec own = load(q + c);
#pragma GCC unroll 16
      for (int i = 0; i < lanes; ++i) {
        if (fetch) __builtin_prefetch(keys[i] + c + ahead);
        part[i] += own * load(keys[i] + c);
      }
    }
    if (whole < d) {
      const Vec own = load_part(q + whole, d - whole);
      for (int i = 0; i < lanes; ++i) part[i] += own * load_part(keys[i] + whole, d - whole);
    }
    store(s + j, sums(part) * splat(scale));
  }
}

/** out = keep * out + sum over keys of p[j] * v_j, in N vectors from column c. */
template <int N, bool fetch>
static void blend_columns(const float* p, const float* v, int64_t v_stride, int64_t ahead, int32_t count,
                          float keep, float* out) {
  Vec sum[N];
  for (int u = 0; u < N; ++u) sum[u] = load(out + u * lanes) * splat(keep);
  for (int32_t j = 0; j < count; ++j, v += v_stride)
#pragma GCC unroll 8
    for (int u = 0; u < N; ++u) {
      if (fetch) __builtin_prefetch(v + ahead + u * lanes);
      sum[u] += load(v + u * lanes) * splat(p[j]);
    }
  for (int u = 0; u < N; ++u) store(out + u * lanes, sum[u]);
}

template <bool fetch>
static void blend(const float* p, const float* v, int64_t v_stride, int d, int32_t count, float keep,
                  float* out) {
  const int64_t ahead = block_keys(d) * v_stride;
  int c = 0;
  for (; c + 8 * lanes <= d; c += 8 * lanes)
    blend_columns<8, fetch>(p, v + c, v_stride, ahead, count, keep, out + c);
  for (; c + 4 * lanes <= d; c += 4 * lanes)
    blend_columns<4, fetch>(p, v + c, v_stride, ahead, count, keep, out + c);
  for (; c + 2 * lanes <= d; c += 2 * lanes)
    blend_columns<2, fetch>(p, v + c, v_stride, ahead, count, keep, out + c);
  for (; c + lanes <= d; c += lanes) blend_columns<1, fetch>(p, v + c, v_stride, ahead, count, keep, out + c);
  for (; c < d; ++c) {
    float sum = out[c] * keep;
    for (int32_t j = 0; j < count; ++j) sum += p[j] * v[j * v_stride + c];
    out[c] = sum;
  }
}

/** Scores of keys [from, from + count) at s become weights; returns the factor of the past. */
static float soften_keys(const Attention& a, int64_t row, Soft& soft, float* s, int32_t from, int32_t count) {
  const int32_t lo = a.lo[row], hi = a.hi[row];
  const float temperature = a.temperature ? a.temperature[row] : 1.f;
  for (int32_t j = count; j % lanes; ++j) s[j] = -__builtin_inff();
  const float old = soft.m;
  if (a.stats) {
    int64_t at;
    const float top = row_max(s, count, &at);
    if (top > old) soft.m = top, soft.argmax = from + static_cast<int32_t>(at);
  } else {
    Vec top = splat(old);
    for (int32_t j = 0; j < count; j += lanes) top = vmax(load(s + j), top);
    soft.m = max(top);
  }
  const Vec m = splat(soft.m);
  const float gap = old - soft.m, factor = __builtin_expf(gap);
  Vec l = {}, spread = {}, l_off = {}, spread_off = {}, distance = {}, local = {}, sink = {};
  for (int32_t j = 0; j < count; j += lanes) {
    const Vec v = load(s + j), x = v - m, p = vexp_negative(x);
    store(s + j, p);
    l += p;
    if (!a.stats) continue;
    const IVec key = iota() + (from + j);
    const Vec y = select(key < from + count, x, Vec{});
    spread += p * y;
    distance += p * __builtin_convertvector(hi - 1 - key, Vec);
    local += select(key >= hi - local_window, p, Vec{});
    sink += select(key == lo, p, Vec{});
    if (temperature != 1.f) {
      const Vec cooled = y / splat(temperature), e = select(key < from + count, vexp_negative(cooled), Vec{});
      l_off += e;
      spread_off += e * cooled;
    }
  }
  soft.spread = factor * (soft.spread + soft.l * gap) + sum(spread);
  soft.l = factor * soft.l + sum(l);
  if (a.stats) {
    soft.distance = factor * soft.distance + sum(distance);
    soft.local = factor * soft.local + sum(local);
    soft.sink = factor * soft.sink + sum(sink);
    if (temperature != 1.f) {
      const float cooled = gap / temperature, factor_off = __builtin_expf(cooled);
      soft.spread_off = factor_off * (soft.spread_off + soft.l_off * cooled) + sum(spread_off);
      soft.l_off = factor_off * soft.l_off + sum(l_off);
    }
  }
  return factor;
}

static bool attend_few(const Run& run, const Attention& a) {
  const int d = a.head_dim, group = a.heads / a.kv_heads;
  int32_t longest = 1;
  double keys = 0;
  for (int64_t r = 0; r < a.rows; ++r) {
    const int32_t n = a.hi[r] - a.lo[r];
    longest = n > longest ? n : longest;
    keys += n;
  }
  const int64_t stretches = divide_up(longest, stretch);
  const int64_t pitch = (d + 15) / 16 * 16;
  // [row, head, stretch]: the sums of v, then the softmax states.
  const int64_t parts = a.rows * a.heads * stretches;
  float* sums_of = static_cast<float*>(
      Pool::caller_scratch(static_cast<size_t>(parts) * (pitch * sizeof(float) + sizeof(Soft))));
  Soft* softs = reinterpret_cast<Soft*>(sums_of + parts * pitch);

  const double nanoseconds = keys * a.heads * (2. * d / lanes + 10) / 8;
  const int threads = nanoseconds < 8000 ? 1 : run.threads;
  run.pool.reserve(threads, static_cast<size_t>(group) * (block_keys(d) + 1) * 4);
  const bool done = run.pool.parallel_for(
      threads, a.rows * a.kv_heads * stretches, 1, run.cancel, [&](int64_t task, int64_t, int worker) {
        const int64_t row = task / (a.kv_heads * stretches), kv = task / stretches % a.kv_heads,
                      part = task % stretches;
        const int32_t begin = a.lo[row] + static_cast<int32_t>(part) * stretch,
                      end = static_cast<int32_t>(least(a.hi[row], begin + stretch));
        const int64_t at = (row * a.heads + kv * group) * stretches + part;
        for (int g = 0; g < group; ++g) {
          softs[at + g * stretches] = Soft{};
          std::memset(sums_of + (at + g * stretches) * pitch, 0, static_cast<size_t>(pitch) * 4);
        }
        const int64_t kv_at = kv * a.k_head_stride, v_at = kv * a.v_head_stride, most_keys = block_keys(d);
        float *s = static_cast<float*>(run.pool.scratch(worker)), *keep = s + group * most_keys;
        const float* q = a.q + row * a.q_stride + kv * group * d;
        for (int32_t from = begin; from < end; from += most_keys) {
          const int32_t count = static_cast<int32_t>(least(most_keys, end - from));
          for (int g = 0; g < group; ++g)
            (g ? dots<false> : dots<true>)(q + g * d, a.k + kv_at + from * a.k_stride, a.k_stride, d, count,
                                           a.scale, s + g * most_keys);
          for (int g = 0; g < group; ++g)
            keep[g] = soften_keys(a, row, softs[at + g * stretches], s + g * most_keys, from, count);
          for (int g = 0; g < group; ++g)
            (g ? blend<false> : blend<true>)(s + g * most_keys, a.v + v_at + from * a.v_stride, a.v_stride, d,
                                             count, keep[g], sums_of + (at + g * stretches) * pitch);
        }
      });
  if (!done) return false;

  for (int64_t row = 0; row < a.rows; ++row)
    for (int h = 0; h < a.heads; ++h) {
      const int64_t at = (row * a.heads + h) * stretches;
      float* total = sums_of + at * pitch;
      Soft soft = softs[at];
      for (int64_t part = 1; part < stretches && softs[at + part].l > 0; ++part) {
        float keep, take;
        join(soft, softs[at + part], a.temperature ? a.temperature[row] : 1.f, &keep, &take);
        const float* more = sums_of + (at + part) * pitch;
        for (int c = 0; c < d; ++c) total[c] = total[c] * keep + more[c] * take;
      }
      const float inverse = soft.l > 0 || soft.l != soft.l ? 1.f / soft.l : 0.f;
      float* out = a.out + row * a.out_stride + int64_t{h} * d;
      for (int c = 0; c < d; ++c) out[c] = total[c] * inverse;
      if (a.stats || a.lse) finish(a, row, h, soft);
    }
  return true;
}

static bool attention(const Run& run, const Attention& a) {
  if (a.rows <= 0) return true;
  return a.rows * 4 >= query_rows && a.rows >= 4 ? attend_many(run, a) : attend_few(run, a);
}

static void attention_weights(const Attention& a, int64_t row, int head, float* out) {
  const int d = a.head_dim, kv = head / (a.heads / a.kv_heads);
  const int32_t lo = a.lo[row], n = a.hi[row] - lo;
  if (n <= 0) return;
  const float *q = a.q + row * a.q_stride + int64_t{head} * d,
              *k = a.k + kv * a.k_head_stride + lo * a.k_stride;
  alignas(64) float s[256];
  for (int32_t from = 0; from < n; from += block_keys(d)) {
    const int32_t count = static_cast<int32_t>(least(block_keys(d), n - from));
    dots<true>(q, k + from * a.k_stride, a.k_stride, d, count, a.scale, s);
    std::memcpy(out + from, s, static_cast<size_t>(count) * 4);
  }
  int64_t top;
  const float m = row_max(out, n, &top);
  double total = 0;
  for (int32_t j = 0; j < n; ++j) out[j] -= m;
  exp(out, out, n);
  for (int32_t j = 0; j < n; ++j) total += static_cast<double>(out[j]);
  const float inverse = static_cast<float>(1 / total);
  for (int32_t j = 0; j < n; ++j) out[j] *= inverse;
}

}  // namespace
}  // namespace moescope::kernels
