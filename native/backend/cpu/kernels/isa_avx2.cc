#include "isa.inl"

namespace moescope::kernels {
extern const Kernels avx2_kernels;
const Kernels avx2_kernels = table(Isa::avx2);
}  // namespace moescope::kernels
