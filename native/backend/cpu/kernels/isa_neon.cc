#include "isa.inl"

namespace moescope::kernels {
extern const Kernels neon_kernels;
const Kernels neon_kernels = table(Isa::neon);
}  // namespace moescope::kernels
