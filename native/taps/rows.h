// What is known of each row of a tile when captures and edits are chosen.
#pragma once

#include <cstdint>
#include <vector>

namespace moescope {

struct TileRow {
  int32_t t = 0;      // row of the whole run
  int32_t batch = 0;  // row of the prefill batch, -1 for generated rows
  int32_t seq = 0;
  int32_t position = 0;
  int32_t step = -1;  // of generation, -1 in the prompt
  int32_t id = 0;
};

using TileRows = std::vector<TileRow>;

}  // namespace moescope
