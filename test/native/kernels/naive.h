// The slow twins: what each kernel means, in double and one line of arithmetic at a time.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels.h"

namespace naive {

using namespace moescope::kernels;

inline double silu(double x) { return x / (1 + std::exp(-x)); }

/** Weights as the kernel sees them (rounded to its format), out-major. */
struct Matrix {
  int64_t n, k;
  std::vector<float> values;
  double dot(int64_t row, const float* x, double scale) const {
    double sum = 0;
    for (int64_t c = 0; c < k; ++c) sum += double{values[size_t(row * k + c)]} * (double{x[c]} * scale);
    return sum;
  }
};

/** Row i of a product, n values; `y` holds what was there before. */
inline std::vector<double> product(const Matrix& w, const Matrix* up, const Product& p, int64_t i,
                                   const std::vector<float>& y) {
  const float* x = p.x + (p.x_rows ? p.x_rows[i] : i) * p.x_stride;
  const double scale = p.x_scale ? p.x_scale[i] : 1;
  std::vector<double> out(size_t(w.n));
  for (int64_t r = 0; r < w.n; ++r) {
    double v = w.dot(r, x, scale);
    if (up) v = silu(v) * up->dot(r, x, scale);
    out[size_t(r)] = v + (p.add ? y[size_t((p.y_rows ? p.y_rows[i] : i) * p.y_stride + r)] : 0);
  }
  return out;
}

struct Attended {
  std::vector<double> out, weights;
  double stats[stat_count], lse;
};

inline Attended attend(const Attention& a, int64_t row, int head) {
  const int d = a.head_dim, kv = head / (a.heads / a.kv_heads);
  const int32_t lo = a.lo[row], hi = a.hi[row];
  const double temperature = a.temperature ? a.temperature[row] : 1;
  const float* q = a.q + row * a.q_stride + int64_t{head} * d;
  std::vector<double> s;
  for (int32_t t = lo; t < hi; ++t) {
    double dot = 0;
    for (int c = 0; c < d; ++c) dot += double{q[c]} * a.k[t * a.k_stride + kv * a.k_head_stride + c];
    s.push_back(dot * a.scale);
  }
  const auto entropy = [](const std::vector<double>& x, double* lse) {
    const double m = *std::max_element(x.begin(), x.end());
    double total = 0, h = 0;
    for (double v : x) total += std::exp(v - m);
    *lse = m + std::log(total);
    for (double v : x) h -= std::exp(v - *lse) * (v - *lse);
    return h;
  };
  Attended r;
  r.out.assign(size_t(d), 0);
  if (s.empty()) return r;
  r.stats[stat_entropy] = entropy(s, &r.lse);
  std::vector<double> cooled = s;
  for (double& v : cooled) v /= temperature;
  double unused;
  r.stats[stat_entropy_off] = entropy(cooled, &unused);
  r.stats[stat_max] = r.stats[stat_sink] = r.stats[stat_local] = r.stats[stat_distance] = 0;
  for (int32_t t = lo; t < hi; ++t) {
    const double p = std::exp(s[size_t(t - lo)] - r.lse);
    r.weights.push_back(p);
    for (int c = 0; c < d; ++c) r.out[size_t(c)] += p * a.v[t * a.v_stride + kv * a.v_head_stride + c];
    if (p > r.stats[stat_max]) r.stats[stat_max] = p, r.stats[stat_argmax] = t;
    if (t == lo) r.stats[stat_sink] = p;
    if (t >= hi - local_window) r.stats[stat_local] += p;
    r.stats[stat_distance] += p * (hi - 1 - t);
  }
  return r;
}

struct Logits {
  double logprob, lse, entropy;
  int32_t rank, argmax;
};
inline Logits logits(const float* z, int64_t n, int32_t target) {
  Logits r{};
  const double m = *std::max_element(z, z + n);
  double total = 0;
  for (int64_t i = 0; i < n; ++i) total += std::exp(z[i] - m);
  r.lse = m + std::log(total);
  for (int64_t i = 0; i < n; ++i) {
    r.entropy -= std::isinf(z[i]) ? 0 : std::exp(z[i] - r.lse) * (z[i] - r.lse);
    if (target >= 0) r.rank += z[i] > z[target] || (z[i] == z[target] && i < target);
  }
  r.argmax = int32_t(std::max_element(z, z + n) - z);
  r.logprob = target >= 0 ? z[target] - r.lse : std::numeric_limits<double>::quiet_NaN();
  if (target < 0) r.rank = -1;
  return r;
}

}  // namespace naive
