// Conversions between f32 and the two 16-bit formats of checkpoints. Widening is exact; narrowing rounds to
// nearest, ties to even.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/both.h"

namespace moescope {

MOESCOPE_BOTH inline float from_bf16(uint16_t x) { return __builtin_bit_cast(float, uint32_t{x} << 16); }

MOESCOPE_BOTH inline uint16_t to_bf16(float x) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, x);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return static_cast<uint16_t>((bits >> 16) | 0x40u);  // keep NaN a NaN
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

MOESCOPE_BOTH inline float from_f16(uint16_t x) {
  const uint32_t sign = uint32_t{x & 0x8000u} << 16;
  const uint32_t exponent = (x >> 10) & 0x1fu;
  const uint32_t mantissa = x & 0x3ffu;
  if (exponent == 0) {  // zero and subnormals: mantissa * 2^-24
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return __builtin_bit_cast(float, sign | __builtin_bit_cast(uint32_t, magnitude));
  }
  if (exponent == 31) return __builtin_bit_cast(float, sign | 0x7f800000u | (mantissa << 13));
  return __builtin_bit_cast(float, sign | ((exponent + 112u) << 23) | (mantissa << 13));
}

MOESCOPE_BOTH inline uint16_t to_f16(float x) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, x), sign = bits >> 16 & 0x8000u,
                 size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
  if (size >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65520 and more round to infinity
  if (size <
      0x38800000u) {  // below 2^-14: a multiple of 2^-24; adding 0.5 leaves it in the last bits, rounded
    const float shifted = __builtin_bit_cast(float, size) + 0.5f;
    return static_cast<uint16_t>(sign | (__builtin_bit_cast(uint32_t, shifted) - 0x3f000000u));
  }
  return static_cast<uint16_t>(sign | ((size + 0xfffu + (size >> 13 & 1u) - 0x38000000u) >> 13));
}

}  // namespace moescope
