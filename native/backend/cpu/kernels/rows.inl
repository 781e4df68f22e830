// What happens to activations between the products: norms, RoPE, SwiGLU, sums. Bound by memory; small ones
// stay on the calling thread, since waking another costs more than they do. One Zen 5 core, 2026-11-24, 1,024
// rows of 2,048: norm 0.27 ms, rotation and head norms 0.67 ms, SwiGLU 0.57 ms: 1 % of the products beside
// them.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace moescope::kernels {
namespace {

constexpr int64_t inline_floats = 48 << 10;  // below this many floats a parallel region does not pay

/** Calls fn(begin, end) over rows of `width` floats. */
template <class F>
MOESCOPE_INLINE bool over_rows(const Run& run, int64_t rows, int64_t width, const F& fn) {
  const int threads = rows * width < inline_floats ? 1 : run.threads;
  const int64_t grain = threads == 1 ? rows : most(1, (8 << 10) / most(width, 1));
  return run.pool.parallel_for(threads, rows, grain, run.cancel,
                               [&](int64_t begin, int64_t end, int) { fn(begin, end); });
}

static float mean_square(const float* x, int64_t d) {
  Vec s[4] = {};
  int64_t i = 0;
  for (; i + 4 * lanes <= d; i += 4 * lanes)
    for (int u = 0; u < 4; ++u) {
      const Vec v = load(x + i + u * lanes);
      s[u] += v * v;
    }
  for (; i < d; i += lanes) {
    const Vec v = d - i >= lanes ? load(x + i) : load_part(x + i, d - i);
    s[0] += v * v;
  }
  return sum((s[0] + s[1]) + (s[2] + s[3])) / static_cast<float>(d);
}

static bool rmsnorm(const Run& run, float* out, int64_t out_stride, const float* x, int64_t x_stride,
                    const float* weight, float eps, int64_t rows, int64_t d) {
  return over_rows(run, rows, d, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* in = x + r * x_stride;
      float* to = out + r * out_stride;
      const float inverse = 1.f / __builtin_sqrtf(mean_square(in, d) + eps);
      int64_t i = 0;
      for (; i + lanes <= d; i += lanes) {
        const Vec v = load(in + i) * splat(inverse);
        store(to + i, weight ? v * load(weight + i) : v);
      }
      for (; i < d; ++i) to[i] = in[i] * inverse * (weight ? weight[i] : 1.f);
    }
  });
}

template <int From, int... I>
MOESCOPE_INLINE Vec twice(Vec v, Indices<I...>) {
  return shuffle<(From + I / 2)...>(v, v);
}

/** Rotates the pairs (2j, 2j+1) of one head by cos[j], sin[j]. */
static void rotate(float* x, int head_dim, const float* cos, const float* sin) {
  const Vec sign = select((iota() & 1) == 0, splat(-1.f), splat(1.f));
  int i = 0;
  for (; i + 2 * lanes <= head_dim; i += 2 * lanes) {
    const Vec c = load(cos + i / 2), s = load(sin + i / 2), a = load(x + i), b = load(x + i + lanes);
    store(x + i, a * twice<0>(c, Lanes{}) + across<1>(a, Lanes{}) * (twice<0>(s, Lanes{}) * sign));
    store(x + i + lanes,
          b * twice<lanes / 2>(c, Lanes{}) + across<1>(b, Lanes{}) * (twice<lanes / 2>(s, Lanes{}) * sign));
  }
  for (; i < head_dim; i += 2) {
    const float a = x[i], b = x[i + 1], c = cos[i / 2], s = sin[i / 2];
    x[i] = a * c - b * s;
    x[i + 1] = a * s + b * c;
  }
}

static bool heads(const Run& run, float* x, int64_t stride, int64_t rows, int count, int head_dim,
                  const float* cos, const float* sin, float eps, const float* factor) {
  return over_rows(run, rows, int64_t{count} * head_dim, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      for (int h = 0; h < count; ++h) {
        float* v = x + r * stride + int64_t{h} * head_dim;
        if (cos) rotate(v, head_dim, cos + r * (head_dim / 2), sin + r * (head_dim / 2));
        float scale = factor ? factor[r] : 1.f;
        if (eps >= 0) scale *= 1.f / __builtin_sqrtf(mean_square(v, head_dim) + eps);
        if (scale == 1.f) continue;
        for (int i = 0; i < head_dim; ++i) v[i] *= scale;
      }
  });
}

/** fn(begin, n): a run of n elements. */
template <class F>
MOESCOPE_INLINE bool over_elements(const Run& run, int64_t n, const F& fn) {
  const int threads = n < inline_floats ? 1 : run.threads;
  return run.pool.parallel_for(threads, n, threads == 1 ? n : 16 << 10, run.cancel,
                               [&](int64_t begin, int64_t end, int) { fn(begin, end - begin); });
}

static bool swiglu(const Run& run, float* out, const float* gate, const float* up, int64_t n) {
  return over_elements(run, n, [=](int64_t at, int64_t count) {
    int64_t i = at;
    for (; i + lanes <= at + count; i += lanes) store(out + i, vsilu(load(gate + i)) * load(up + i));
    if (const int64_t rest = at + count - i)
      store_part(out + i, vsilu(load_part(gate + i, rest)) * load_part(up + i, rest), rest);
  });
}

static bool add(const Run& run, float* y, const float* x, int64_t n) {
  return over_elements(run, n, [=](int64_t at, int64_t count) {
    for (int64_t i = at; i < at + count; ++i) y[i] += x[i];
  });
}

static void sigmoid(float* out, const float* x, int64_t n) {
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(out + i, vsigmoid(load(x + i)));
  if (i < n) store_part(out + i, vsigmoid(load_part(x + i, n - i)), n - i);
}

static void exp(float* out, const float* x, int64_t n) {
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(out + i, vexp(load(x + i)));
  if (i < n) store_part(out + i, vexp(load_part(x + i, n - i)), n - i);
}

}  // namespace
}  // namespace moescope::kernels
