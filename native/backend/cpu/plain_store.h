// Matrices kept row after row, those of int4 as `base/int4.h` lays them out.
#pragma once

#include <cstdint>

#include "backend/backend.h"

namespace moescope {

/** Rows [begin, end) of a source into a plain matrix at `dst`; returns the number of elements that are not
 * finite. */
int64_t store_rows(const Matrix&, void* dst, const Source&, int64_t begin, int64_t end);
/** How many elements of these rows are not finite. */
int64_t count_nonfinite(const Source&, int64_t cols, int64_t begin, int64_t end);
/** Rows [begin, end) of a plain matrix as f32. */
void load_rows(const Matrix&, float* dst, int64_t begin, int64_t end);

}  // namespace moescope
