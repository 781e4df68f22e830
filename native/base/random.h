// Random numbers by counter: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC
// 2011). A number is a function of (key, counter) alone, so it is the same on every machine, in any order,
// from any thread.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace moescope {

using Philox4 = std::array<uint32_t, 4>;

inline Philox4 philox(uint64_t key, uint64_t counter_low, uint64_t counter_high = 0) {
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
inline double uniform(uint64_t key, uint64_t counter) {
  const Philox4 r = philox(key, counter);
  const uint64_t bits = (uint64_t{r[0]} << 21) ^ (r[1] >> 11);
  return static_cast<double>(bits & ((uint64_t{1} << 53) - 1)) * 0x1p-53;
}

/** Four standard normals (Box-Muller). */
inline std::array<float, 4> normal4(uint64_t key, uint64_t counter_low, uint64_t counter_high) {
  const Philox4 r = philox(key, counter_low, counter_high);
  std::array<float, 4> out;
  for (size_t i = 0; i < 4; i += 2) {
    const double u = (static_cast<double>(r[i]) + 0.5) * 0x1p-32;
    const double a = static_cast<double>(r[i + 1]) * (0x1p-32 * 6.283185307179586);
    const double radius = std::sqrt(-2.0 * std::log(u));
    out[i] = static_cast<float>(radius * std::cos(a));
    out[i + 1] = static_cast<float>(radius * std::sin(a));
  }
  return out;
}

}  // namespace moescope
