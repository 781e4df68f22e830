// Where a value first was not finite.
#pragma once

#include "backend/backend.h"

namespace moescope {

/**
 * The first site of `layer` whose values of the row are not finite. Runs the tile once more up to that layer
 * with everything watched there, so nothing has to be kept or checked while all is well. What the backend's
 * activations show is the answer where the second run finds nothing (a tile that went over the end of a chunk
 * has lost keys of the one before).
 */
Site first_nonfinite(Backend&, const Config&, Step, int layer, int row);

}  // namespace moescope
