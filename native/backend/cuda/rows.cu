// Row by row and element by element: norm, sum, SwiGLU. Each reads and writes its rows once.
#include "backend/cuda/cuda.cuh"
#include "backend/cuda/reduce.cuh"

namespace moescope::cuda {
namespace {

constexpr int threads = 256;

/** A block a row. */
__global__ void norm(float* y, const float* x, const float* weight, float eps, int d) {
  x += int64_t{blockIdx.x} * d;
  y += int64_t{blockIdx.x} * d;
  float squares = 0;
  for (int i = static_cast<int>(threadIdx.x); i < d; i += threads) squares += x[i] * x[i];
  const float factor = 1.0f / sqrtf(block_sum(squares) / static_cast<float>(d) + eps);
  for (int i = static_cast<int>(threadIdx.x); i < d; i += threads) y[i] = x[i] * factor * weight[i];
}

__global__ void sum(float* x, const float* y, int64_t n) {
  const int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x;
  if (i < n) x[i] += y[i];
}

__global__ void gated(float* act, const float* gate, const float* up, int64_t n) {
  const int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x;
  if (i < n) act[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

unsigned blocks(int64_t n) { return static_cast<unsigned>((n + threads - 1) / threads); }

}  // namespace

void Cuda::rmsnorm(float* y, const float* x, const Matrix& weight, int rows) const {
  norm<<<static_cast<unsigned>(rows), threads, 0, stream_>>>(y, x, static_cast<const float*>(weight.data),
                                                             c.eps, c.d);
  launched("norm");
}

void Cuda::add(float* x, const float* y, int64_t n) const {
  sum<<<blocks(n), threads, 0, stream_>>>(x, y, n);
  launched("sum");
}

void Cuda::swiglu(float* act, const float* gate, const float* up, int64_t n) const {
  gated<<<blocks(n), threads, 0, stream_>>>(act, gate, up, n);
  launched("swiglu");
}

}  // namespace moescope::cuda
