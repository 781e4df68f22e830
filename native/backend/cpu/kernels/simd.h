// The vectors that the kernels are written over: the compiler's own vector types, as wide as the file's flags
// allow. Included only by the isa_*.cc files; everything here has internal linkage, for each set's own copy.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define MOESCOPE_INLINE static inline __attribute__((always_inline))
#define MOESCOPE_ALWAYS __attribute__((always_inline))  // of a lambda

namespace moescope::kernels {
namespace {

#if defined(__AVX512F__)
constexpr int lanes = 16;
#define MOESCOPE_EVERY(x) x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x
#elif defined(__AVX2__)
constexpr int lanes = 8;
#define MOESCOPE_EVERY(x) x, x, x, x, x, x, x, x
#else
constexpr int lanes = 4;
#define MOESCOPE_EVERY(x) x, x, x, x
#endif

typedef float Vec __attribute__((vector_size(lanes * 4)));
typedef int32_t IVec __attribute__((vector_size(lanes * 4)));
typedef uint32_t UVec __attribute__((vector_size(lanes * 4)));

// Not std::min and std::max: see the README.
MOESCOPE_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
MOESCOPE_INLINE int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
MOESCOPE_INLINE int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

MOESCOPE_INLINE Vec splat(float x) { return Vec{MOESCOPE_EVERY(x)}; }
MOESCOPE_INLINE IVec isplat(int32_t x) { return IVec{MOESCOPE_EVERY(x)}; }
MOESCOPE_INLINE Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
MOESCOPE_INLINE void store(float* p, Vec v) { std::memcpy(p, &v, sizeof v); }
MOESCOPE_INLINE UVec loadu(const void* p) {
  UVec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
/** The first n (< lanes) values; the rest are `fill`. */
MOESCOPE_INLINE Vec load_part(const float* p, int64_t n, float fill = 0) {
  alignas(64) float part[lanes];
  store(part, splat(fill));
  std::memcpy(part, p, static_cast<size_t>(n) * 4);
  return load(part);
}
MOESCOPE_INLINE void store_part(float* p, Vec v, int64_t n) {
  alignas(64) float part[lanes];
  store(part, v);
  std::memcpy(p, part, static_cast<size_t>(n) * 4);
}

MOESCOPE_INLINE Vec as_float(IVec v) { return (Vec)v; }
MOESCOPE_INLINE IVec as_int(Vec v) { return (IVec)v; }
MOESCOPE_INLINE Vec vmax(Vec a, Vec b) { return a > b ? a : b; }
MOESCOPE_INLINE Vec select(IVec mask, Vec a, Vec b) { return mask ? a : b; }
MOESCOPE_INLINE IVec select(IVec mask, IVec a, IVec b) { return mask ? a : b; }
MOESCOPE_INLINE IVec iota() {
  IVec v = {};
  for (int i = 0; i < lanes; ++i) v[i] = i;
  return v;
}

/** a * b + c: in one rounding wherever the machine can, which is not left to the compiler, since it chooses
 * anew in every loop. */
MOESCOPE_INLINE Vec vfma(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
  return (Vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
  return (Vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
  return (Vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

template <int... I>
struct Indices {};
template <int N, int... I>
struct MakeIndices : MakeIndices<N - 1, N - 1, I...> {};
template <int... I>
struct MakeIndices<0, I...> {
  using type = Indices<I...>;
};

template <int V>
struct Constant {
  static constexpr int value = V;
};
/** f of 0 to 7, as types. */
template <class F>
MOESCOPE_INLINE void each_of_8(const F& f) {
  f(Constant<0>{}), f(Constant<1>{}), f(Constant<2>{}), f(Constant<3>{});
  f(Constant<4>{}), f(Constant<5>{}), f(Constant<6>{}), f(Constant<7>{});
}

using Lanes = typename MakeIndices<lanes>::type;

/** The lanes of a and, counted on, of b that the indices name. */
template <int... I, class V>
MOESCOPE_INLINE V shuffle(V a, V b) {
#if __has_builtin(__builtin_shufflevector)
  return __builtin_shufflevector(a, b, I...);
#else  // GCC 11
  return __builtin_shuffle(a, b, IVec{I...});
#endif
}
/** Each lane's partner across S. */
template <int S, class V, int... I>
MOESCOPE_INLINE V across(V v, Indices<I...>) {
  return shuffle<(I ^ S)...>(v, v);
}
/** All lanes joined by `join`, by halves. */
template <class V, class F>
MOESCOPE_INLINE auto reduce(V v, F join) {
  if constexpr (lanes >= 16) v = join(v, across<8>(v, Lanes{}));
  if constexpr (lanes >= 8) v = join(v, across<4>(v, Lanes{}));
  v = join(v, across<2>(v, Lanes{}));
  v = join(v, across<1>(v, Lanes{}));
  return v[0];
}
MOESCOPE_INLINE float sum(Vec v) {
  return reduce(v, [](Vec a, Vec b) { return a + b; });
}
MOESCOPE_INLINE float max(Vec v) {
  return reduce(v, [](Vec a, Vec b) { return vmax(a, b); });
}
MOESCOPE_INLINE int32_t sum(IVec v) {
  return reduce(v, [](IVec a, IVec b) { return a + b; });
}
MOESCOPE_INLINE int32_t min(IVec v) {
  return reduce(v, [](IVec a, IVec b) { return a < b ? a : b; });
}

/** Lanes without bit S of `a` and lanes with it of `b`, each plus its partner across S. */
template <int S, int... I>
MOESCOPE_INLINE Vec fold(Vec a, Vec b, Indices<I...>) {
  return shuffle<(I & S ? lanes + I : I)...>(a, b) + shuffle<(I & S ? lanes + (I ^ S) : I ^ S)...>(a, b);
}
/** Lane i of the result is the sum of a[i]; a is used up. */
MOESCOPE_INLINE Vec sums(Vec* a) {
  if constexpr (lanes >= 16)
    for (int i = 0; i < 8; ++i) a[i] = fold<8>(a[i], a[i + 8 < lanes ? i + 8 : i], Lanes{});
  if constexpr (lanes >= 8)
    for (int i = 0; i < 4; ++i) a[i] = fold<4>(a[i], a[i + 4], Lanes{});
  for (int i = 0; i < 2; ++i) a[i] = fold<2>(a[i], a[i + 2], Lanes{});
  return fold<1>(a[0], a[1], Lanes{});
}

// exp, within 2 ulp: x = n ln2 + r with |r| <= ln2/2, e^r by a polynomial of degree 7 (Taylor's coefficients,
// truncation 5e-9), 2^n in two halves so that the ends of the range neither overflow early nor lose the
// subnormals. ln2 is split so that n * ln2_high is exact without FMA too.
MOESCOPE_INLINE Vec vexp(Vec x) {
  const Vec low = splat(-104.f), high = splat(89.f), magic = splat(12582912.f);
  Vec c = x < low ? low : x;  // a NaN passes both
  c = c > high ? high : c;
  const Vec shifted = c * splat(1.44269504f) + magic;
  const Vec n = shifted - magic;
  const IVec e = as_int(shifted) - as_int(magic);
  Vec r = c - n * splat(0.693359375f);
  r = r - n * splat(-2.12194440e-4f);
  Vec p = splat(1.f / 5040);
  p = p * r + splat(1.f / 720);
  p = p * r + splat(1.f / 120);
  p = p * r + splat(1.f / 24);
  p = p * r + splat(1.f / 6);
  p = p * r + splat(.5f);
  p = p * (r * r) + r;
  p = p + splat(1.f);
  const IVec half = e >> 1;
  const Vec a = as_float((half + 127) << 23), b = as_float((e - half + 127) << 23);
  return p * a * b;
}
/** The same for x <= 0 (weights of a softmax): one scale suffices, below -87 it is 0. */
MOESCOPE_INLINE Vec vexp_negative(Vec x) {
  const Vec low = splat(-87.33f), magic = splat(12582912.f);
  const Vec c = x < low ? low : x;
  const Vec shifted = c * splat(1.44269504f) + magic;
  const Vec n = shifted - magic;
  Vec r = c - n * splat(0.693359375f);
  r = r - n * splat(-2.12194440e-4f);
  Vec p = splat(1.f / 5040);
  p = p * r + splat(1.f / 720);
  p = p * r + splat(1.f / 120);
  p = p * r + splat(1.f / 24);
  p = p * r + splat(1.f / 6);
  p = p * r + splat(.5f);
  p = p * (r * r) + r;
  p = p + splat(1.f);
  p = p * as_float((as_int(shifted) - as_int(magic) + 127) << 23);
  return x < low ? Vec{} : p;
}
/** 1 / (1 + e^-x); e^-x overflows to inf below -88.7, which gives the right 0. */
MOESCOPE_INLINE Vec vsigmoid(Vec x) { return splat(1.f) / (splat(1.f) + vexp(-x)); }
MOESCOPE_INLINE Vec vsilu(Vec x) { return x / (splat(1.f) + vexp(-x)); }

}  // namespace
}  // namespace moescope::kernels
