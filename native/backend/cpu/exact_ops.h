// The arithmetic of the exact path: plain loops in f32, one row at a time, so that a row's values depend on
// nothing beside it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "backend/cpu/plain_store.h"
#include "base/number.h"
#include "model/weights.h"

namespace moescope::exact {

inline float element(const float* x, int64_t i) { return x[i]; }
inline float element(const uint16_t* x, int64_t i) { return from_bf16(x[i]); }

/** Sum of products in sixteen running sums: the order is fixed, and compilers may use what vectors they have.
 */
template <class T>
float dot(const T* w, const float* x, int64_t n) {
  float sum[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int j = 0; j < 16; ++j) sum[j] += element(w, i + j) * x[i + j];
  for (int j = 0; i < n; ++i, ++j) sum[j] += element(w, i) * x[i];
  for (int width = 8; width > 0; width /= 2)
    for (int j = 0; j < width; ++j) sum[j] += sum[j + width];
  return sum[0];
}

/** y = W x, W as `plain_store.h` keeps it. */
inline void multiply(const Matrix& w, const float* x, float* y) {
  if (group_of(w.format) > 0) {
    std::vector<float> row(static_cast<size_t>(w.cols));
    for (int64_t r = 0; r < w.rows; ++r) {
      load_rows(w, row.data(), r, r + 1);
      y[r] = dot(row.data(), x, w.cols);
    }
    return;
  }
  for (int64_t r = 0; r < w.rows; ++r)
    y[r] = w.format == Format::f32 ? dot(static_cast<const float*>(w.data) + r * w.cols, x, w.cols)
                                   : dot(static_cast<const uint16_t*>(w.data) + r * w.cols, x, w.cols);
}

/** y = x / sqrt(mean(x^2) + eps) * weight. The sum of squares is kept in double. */
inline void rmsnorm(float* y, const float* x, const float* weight, float eps, int n) {
  double squares = 0;
  for (int i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
  const float factor = static_cast<float>(1.0 / std::sqrt(squares / n + eps));
  for (int i = 0; i < n; ++i) y[i] = x[i] * factor * (weight ? weight[i] : 1.0f);
}

/** Rotates the pairs (2j, 2j + 1). */
inline void rotate(float* x, const float* cos, const float* sin, int n) {
  for (int j = 0; j < n / 2; ++j) {
    const float a = x[2 * j], b = x[2 * j + 1];
    x[2 * j] = a * cos[j] - b * sin[j];
    x[2 * j + 1] = a * sin[j] + b * cos[j];
  }
}

inline float silu(float x) { return x / (1.0f + std::exp(-x)); }

/** Softmax in place; returns the log of the sum of exponentials. */
inline float softmax(float* x, int64_t n) {
  const float top = *std::max_element(x, x + n);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    x[i] = std::exp(x[i] - top);
    sum += x[i];
  }
  for (int64_t i = 0; i < n; ++i) x[i] = static_cast<float>(x[i] / sum);
  return top + static_cast<float>(std::log(sum));
}

}  // namespace moescope::exact
