// The attention temperature of a row, with its edits.
#pragma once

#include "backend/backend.h"
#include "model/positional.h"

namespace moescope {

/** What q of the row is multiplied with: 1 on layers with RoPE, else the model's law or the edited one. */
inline float temperature_of(const Step& s, const Config& c, int layer, int r) {
  if (c.layers[static_cast<size_t>(layer)].rope) return 1;
  const int64_t p = s.positions[r];
  if (s.edits.temperature) {
    const TemperatureLaw& law = s.edits.temperature[int64_t{s.variant(r)} * s.layers + layer];
    if (law.kind == TemperatureLaw::Kind::off) return 1;
    if (law.kind == TemperatureLaw::Kind::floor) return temperature_at(p, law.floor, law.scale);
  }
  return c.temperature_tuning ? temperature_at(p, c.floor_scale, c.attn_scale) : 1;
}

}  // namespace moescope
