#include "isa.inl"

namespace moescope::kernels {
extern const Kernels generic_kernels;
const Kernels generic_kernels = table(Isa::generic);
}  // namespace moescope::kernels
