#include "int4_twin.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace int4_twin {
namespace {

/** All f16 that are finite and not negative; place 2 n is an even one. */
const std::vector<double>& halves() {
  static const std::vector<double> all = [] {
    std::vector<double> v;
    for (int exponent = 0; exponent < 31; ++exponent)
      for (int mantissa = 0; mantissa < 1024; ++mantissa)
        v.push_back(exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24));
    return v;
  }();
  return all;
}

/** The code whose number is nearest to x / scale, ties to even. */
int nearest_code(float x, double scale) {
  if (scale == 0) return 0;
  // A quotient is an f32. Far outside all codes would be equally far.
  const double q = std::clamp<double>(static_cast<float>(x / scale), -9, 9);
  int best = -8;
  for (int code = -7; code <= 7; ++code) {
    const double now = std::fabs(q - code), before = std::fabs(q - best);
    if (now < before || (now == before && code % 2 == 0)) best = code;
  }
  return best;
}

}  // namespace

double nearest_f16(double x) {
  const std::vector<double>& all = halves();
  const double size = std::min(std::fabs(x), all.back());
  size_t best = 0;
  const size_t from = static_cast<size_t>(std::lower_bound(all.begin(), all.end(), size) - all.begin());
  for (size_t i = from > 1 ? from - 1 : 0; i < std::min(from + 2, all.size()); ++i) {
    const double now = std::fabs(all[i] - size), before = std::fabs(all[best] - size);
    if (i == 0 || now < before || (now == before && i % 2 == 0)) best = i;
  }
  return std::copysign(all[best], x);
}

std::vector<float> rounded(const std::vector<float>& values, int64_t rows, int64_t cols, int group) {
  std::vector<float> out(values.size());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t from = 0; from < cols; from += group) {
      const float* x = &values[static_cast<size_t>(r * cols + from)];
      float* y = &out[static_cast<size_t>(r * cols + from)];
      const int64_t n = std::min<int64_t>(group, cols - from);
      double extreme = 0;
      bool finite = true;
      for (int64_t i = 0; i < n; ++i) {
        finite &= std::isfinite(x[i]);
        if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
      }
      const double scale = nearest_f16(extreme / -8);
      for (int64_t i = 0; i < n; ++i)
        y[i] = finite ? static_cast<float>(nearest_code(x[i], scale) * scale)
                      : std::numeric_limits<float>::quiet_NaN();
    }
  return out;
}

fixture::Values held(const moescope::Config& c, const fixture::Values& values, moescope::Format format) {
  using Use = moescope::Slot::Use;
  fixture::Values out = values;
  const int group = moescope::group_of(format);
  moescope::Weights w;
  for (const moescope::Slot& s : moescope::slots_of(c, w))
    if (group > 0 && s.use == Use::multiply && s.name != "embed")
      out[s.name] = rounded(values.at(s.name), s.matrix->rows, s.matrix->cols, group);
  return out;
}

}  // namespace int4_twin
