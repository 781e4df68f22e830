// The fault that a test asks for (`inject.h`): what a wrong kernel would do to the context, on purpose.
#include "backend/cuda/cuda.cuh"

namespace moescope::cuda {
namespace {

__global__ void trap() { __trap(); }

}  // namespace

void Cuda::injected(int layer) const {
  if (layer != inject_.fault) return;
  trap<<<1, 1, 0, stream_>>>();
  launched("injected fault");
}

}  // namespace moescope::cuda
