// What each verb must do at least: the figures that its measured time is divided by, and the only place that
// knows them.
//
// Bytes: the weights that are needed, once a tile; keys and values that are seen, once a tile, and those that
// are appended; what goes in and comes out, once, in f32. Flops: the products and attention, a multiply-add
// counting two; norms, rotations and activations are thousandths and left out.
#pragma once

#include <cstdint>
#include <vector>

#include "model/model.h"

namespace moescope {

/** The verbs of `Backend`, in their order. */
enum class Verb : uint8_t { embed, qkv, attend, out, route_ffn, ffn_down, head, sample };
constexpr int verb_count = 8;
const char* name(Verb);

struct Work {
  double bytes = 0;
  double flops = 0;
};

/** A tile, as far as work goes. */
struct TileShape {
  struct Segment {
    int64_t position = 0;
    int count = 0;
  };
  std::vector<Segment> segments;
  int rows() const;
};

/** Of one call. `experts`: how many different ones the rows of the tile chose in this layer, which is how
 * many are read. */
Work work_of(Verb, const Model&, const TileShape&, int layer, int64_t experts);

}  // namespace moescope
