// Random numbers by counter: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC
// 2011). A number is a function of (key, counter) alone, so it is the same on every machine, in any order,
// from any thread.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "base/both.h"

namespace moescope {

using Philox4 = std::array<uint32_t, 4>;

MOESCOPE_BOTH inline Philox4 philox(uint64_t key, uint64_t counter_low, uint64_t counter_high = 0) {
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  Philox4 c{static_cast<uint32_t>(counter_low), static_cast<uint32_t>(counter_low >> 32),
            static_cast<uint32_t>(counter_high), static_cast<uint32_t>(counter_high >> 32)};
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53u} * c[0];
    const uint64_t b = uint64_t{0xCD9E8D57u} * c[2];
    c = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(b),
         static_cast<uint32_t>(a >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(a)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

/** Uniform in [0, 1), 53 bits. */
MOESCOPE_BOTH inline double uniform(uint64_t key, uint64_t counter) {
  const Philox4 r = philox(key, counter);
  const uint64_t bits = (uint64_t{r[0]} << 21) ^ (r[1] >> 11);
  return static_cast<double>(bits & ((uint64_t{1} << 53) - 1)) * 0x1p-53;
}

/** The standard normal's quantile at (bits + 1/2) / 2^32: one normal a random word. Acklam's rational
 * approximation, relative error below 1.2e-9; only the outer 5 % need a logarithm. */
MOESCOPE_BOTH inline float normal_of(uint32_t bits) {
  const double p = (static_cast<double>(bits) + 0.5) * 0x1p-32;
  constexpr double edge = 0.02425;
  const double outer = p < 0.5 ? p : 1 - p;
  if (outer < edge) {
    const double q = std::sqrt(-2 * std::log(outer));
    const double z = (((((-7.784894002430293e-03 * q - 3.223964580411365e-01) * q - 2.400758277161838) * q -
                        2.549732539343734) *
                           q +
                       4.374664141464968) *
                          q +
                      2.938163982698783) /
                     ((((7.784695709041462e-03 * q + 3.224671290700398e-01) * q + 2.445134137142996) * q +
                       3.754408661907416) *
                          q +
                      1);
    return static_cast<float>(p < 0.5 ? z : -z);
  }
  const double q = p - 0.5, r = q * q;
  return static_cast<float>(
      (((((-3.969683028665376e+01 * r + 2.209460984245205e+02) * r - 2.759285104469687e+02) * r +
         1.383577518672690e+02) *
            r -
        3.066479806614716e+01) *
           r +
       2.506628277459239) *
      q /
      (((((-5.447609879822406e+01 * r + 1.615858368580409e+02) * r - 1.556989798598866e+02) * r +
         6.680131188771972e+01) *
            r -
        1.328068155288572e+01) *
           r +
       1));
}

/** Four standard normals. */
MOESCOPE_BOTH inline std::array<float, 4> normal4(uint64_t key, uint64_t counter_low, uint64_t counter_high) {
  const Philox4 r = philox(key, counter_low, counter_high);
  return {normal_of(r[0]), normal_of(r[1]), normal_of(r[2]), normal_of(r[3])};
}

}  // namespace moescope
