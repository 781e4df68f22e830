// Counting checks, random numbers and aligned weights for the kernel tests.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "kernels.h"
#include "naive.h"

namespace check {

inline int passed = 0, failed = 0;

/** One check; only the first failures are printed. */
inline bool that(bool ok, const std::string& what) {
  ok ? ++passed : ++failed;
  if (!ok && failed <= 20) std::printf("FAILED  %s\n", what.c_str());
  return ok;
}

inline std::string show(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", v);
  return text;
}

/** |got - want| <= tolerance * scale, where scale is what the sum could have reached. NaN only where NaN is
 * wanted. */
inline bool near(double got, double want, double tolerance, double scale, const std::string& what) {
  const bool ok =
      std::isnan(want) ? std::isnan(got) : got == want || std::fabs(got - want) <= tolerance * scale;
  return that(ok, ok ? std::string() : what + ": got " + show(got) + ", expected " + show(want));
}

/** xorshift64*, the same everywhere. */
struct Random {
  uint64_t state;
  explicit Random(uint64_t seed) : state(seed * 0x9e3779b97f4a7c15u + 1) {}
  uint64_t next() {
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    return state * 0x2545f4914f6cdd1du;
  }
  double uniform() { return double(next() >> 11) * 0x1p-53; }
  int64_t below(int64_t n) { return int64_t(next() % uint64_t(n)); }
  float normal() {
    return float(std::sqrt(-2 * std::log(uniform() + 1e-300)) * std::cos(6.283185307179586 * uniform()));
  }
  std::vector<float> normals(int64_t n, float std = 1) {
    std::vector<float> v(static_cast<size_t>(n));
    for (float& x : v) x = normal() * std;
    return v;
  }
};

constexpr moescope::kernels::Format formats[] = {
    moescope::kernels::Format::f32, moescope::kernels::Format::bf16, moescope::kernels::Format::int4_32,
    moescope::kernels::Format::int4_64, moescope::kernels::Format::int4_128};
inline std::string name(moescope::kernels::Format f) {
  constexpr const char* names[] = {"f32", "bf16", "int4_32", "int4_64", "int4_128"};
  return names[static_cast<int>(f)];
}

/** A random matrix in a weight format: packed, and as what it stands for. */
struct Weights {
  moescope::kernels::Packed packed;
  naive::Matrix plain;
  void* memory;
  Weights(Random& random, int64_t n, int64_t k, moescope::kernels::Format format) {
    using namespace moescope::kernels;
    plain = {n, k, random.normals(n * k, 1 / std::sqrt(float(k)))};
    memory = ::operator new(packed_bytes(format, n, k), std::align_val_t(64));
    pack(memory, format, n, k, {plain.values.data(), SourceType::f32, k, 1}, 0, panels(n));
    packed = {memory, format, n, k};
    unpack(plain.values.data(), k, packed, 0, n);
  }
  ~Weights() { ::operator delete(memory, std::align_val_t(64)); }
  Weights(const Weights&) = delete;
};

}  // namespace check
