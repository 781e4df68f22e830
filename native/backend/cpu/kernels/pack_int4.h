// int4 into panels and back, for `pack` and `unpack`.
#pragma once

#include "kernels.h"

namespace moescope::kernels {

/** Rounds what panel p holds of k0 .. k0 + 127, given as [rows][128] of which `rows` by `width` are in the
 * matrix; returns how many of these are not finite. */
int64_t store_int4(void* dst, Format, int64_t n, int64_t k, int64_t p, int64_t k0, const float* values,
                   int64_t rows, int64_t width);
void load_int4(float* dst, int64_t dst_stride, const Packed&, int64_t row_begin, int64_t row_end);

}  // namespace moescope::kernels
