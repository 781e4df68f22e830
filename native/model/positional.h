// Position: the angles of RoPE and the attention temperature. Spec sections 2.2 (4) and 2.3.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/both.h"
#include "model/config.h"

namespace moescope {

/** cos and sin of the rotation at an absolute position, [head_dim / 2] each. `in_chunk`: the layer attends
 * within chunks, so that "accurate" may count from the chunk's start. */
inline void rope_angles(const Config& c, int64_t position, bool in_chunk, float* cos, float* sin) {
  const size_t pairs = static_cast<size_t>(c.head_dim / 2);
  if (c.rope == Rope::hf) {
    const float p = static_cast<float>(position);
    for (size_t j = 0; j < pairs; ++j) {
      const float angle = p * c.inv_freq[j];
      cos[j] = static_cast<float>(std::cos(static_cast<double>(angle)));
      sin[j] = static_cast<float>(std::sin(static_cast<double>(angle)));
    }
  } else {
    const double p = static_cast<double>(in_chunk ? position % c.chunk : position);
    for (size_t j = 0; j < pairs; ++j) {
      cos[j] = static_cast<float>(std::cos(p * c.inv_freq64[j]));
      sin[j] = static_cast<float>(std::sin(p * c.inv_freq64[j]));
    }
  }
}

/** ln(floor((p + 1) / floor_scale) + 1) * scale + 1, rounded where Hugging Face rounds to fp32. */
MOESCOPE_BOTH inline float temperature_at(int64_t position, double floor_scale, double scale) {
  const double stair = std::floor(static_cast<double>(position + 1) / floor_scale);
  return static_cast<float>(std::log1p(stair)) * static_cast<float>(scale) + 1.0f;
}

}  // namespace moescope
