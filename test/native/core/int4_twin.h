// int4 by brute force, in double: every f16 and every code is tried. Shares no code with `base/int4.h`.
#pragma once

#include "fixture.h"

namespace int4_twin {

/** What a matrix [rows, cols] is once it was rounded in groups of so many neighbours. */
std::vector<float> rounded(const std::vector<float>&, int64_t rows, int64_t cols, int group);
/** The f16 nearest to x, ties to the even one, at most the largest that is finite. */
double nearest_f16(double x);
/** The weights that a model of this format holds. */
fixture::Values held(const moescope::Config&, const fixture::Values&, moescope::Format);

}  // namespace int4_twin
