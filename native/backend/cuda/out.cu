// out: x += W_o z. Weights: d * q width.
#include "backend/cuda/cuda.cuh"

namespace moescope::cuda {

void Cuda::out(const Step& s, int l) {
  use();
  multiply(weight(layer(l).o), a.z, a.out, s.rows);
  watch(s, Site::attn_out, l, a.out);
  add(a.x, a.out, int64_t{s.rows} * c.d);
  watch(s, Site::resid_mid, l, a.x);
}

}  // namespace moescope::cuda
