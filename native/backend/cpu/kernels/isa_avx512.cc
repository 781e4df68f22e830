#include "isa.inl"

namespace moescope::kernels {
extern const Kernels avx512_kernels;
const Kernels avx512_kernels = table(Isa::avx512);
}  // namespace moescope::kernels
