// AVX-512, and AMX for what is bf16.
#include "isa.inl"

namespace moescope::kernels {
extern const Kernels amx_kernels;
const Kernels amx_kernels = table(Isa::amx);
}  // namespace moescope::kernels
