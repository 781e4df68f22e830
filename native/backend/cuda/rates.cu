// How fast the device's memory is: the limits that figures stand beside.
#include "backend/cuda/cuda.cuh"

namespace moescope::cuda {
namespace {

constexpr int threads = 512, times = 10;
constexpr size_t bytes = size_t{1} << 30;

__global__ void __launch_bounds__(threads) read(const uint4* from, size_t n, unsigned* out) {
  unsigned sum = 0;
  const size_t stride = size_t{gridDim.x} * threads;
  // Eight loads of 16 bytes a thread are on their way at once.
  for (size_t i = size_t{blockIdx.x} * threads + threadIdx.x; i + 7 * stride < n; i += 8 * stride) {
    uint4 x[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) x[j] = __ldcs(from + i + j * stride);
#pragma unroll
    for (int j = 0; j < 8; ++j) sum += x[j].x ^ x[j].y ^ x[j].z ^ x[j].w;
  }
  if (sum == 0x12345678u) *out = sum;  // so that nothing is left out
}

/** Seconds of one of `times` runs. */
template <class F>
double seconds(cudaStream_t stream, F run) {
  cudaEvent_t begin{}, end{};
  check(cudaEventCreate(&begin), "rate");
  check(cudaEventCreate(&end), "rate");
  run();
  check(cudaEventRecord(begin, stream), "rate");
  for (int i = 0; i < times; ++i) run();
  check(cudaEventRecord(end, stream), "rate");
  check(cudaEventSynchronize(end), "rate");
  float ms = 0;
  check(cudaEventElapsedTime(&ms, begin, end), "rate");
  (void)cudaEventDestroy(begin);
  (void)cudaEventDestroy(end);
  return static_cast<double>(ms) / 1e3 / times;
}

}  // namespace

double Cuda::copy_rate() const {
  use();
  Buffer<In::device> from, to;
  from.reserve(bytes, "copy rate");
  to.reserve(bytes, "copy rate");
  check(cudaMemsetAsync(from.as<char>(), 0x5a, bytes, stream_), "copy rate");
  return 2.0 * static_cast<double>(bytes) / seconds(stream_, [&] {
           check(cudaMemcpyAsync(to.as<char>(), from.as<char>(), bytes, cudaMemcpyDeviceToDevice, stream_),
                 "copy rate");
         });
}

double Cuda::read_rate() const {
  use();
  Buffer<In::device> from;
  from.reserve(bytes, "read rate");
  check(cudaMemsetAsync(from.as<char>(), 0x5a, bytes, stream_), "read rate");
  return static_cast<double>(bytes) / seconds(stream_, [&] {
           read<<<1024, threads, 0, stream_>>>(from.as<uint4>(), bytes / sizeof(uint4), from.as<unsigned>());
           launched("read rate");
         });
}

}  // namespace moescope::cuda
