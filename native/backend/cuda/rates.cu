// How fast the device's memory is: the limits that figures stand beside.
#include <algorithm>

#include "backend/cuda/cuda.cuh"
#include "backend/cuda/launch.cuh"

namespace moescope::cuda {
namespace {

constexpr int threads = 512, loads = 8, times = 10;
constexpr size_t bytes = size_t{1} << 30;

/**
 * Reads n values. Eight loads of 16 bytes a thread are on their way at once: `near` from one stretch of 64 KB
 * a block, else each from where the whole grid reads next. Which is faster depends on the memory.
 */
template <bool near>
__global__ void __launch_bounds__(threads) read(const uint4* from, size_t n, unsigned* out) {
  unsigned sum = 0;
  const size_t grid = size_t{gridDim.x} * threads, apart = near ? threads : grid;
  const size_t begin = size_t{blockIdx.x} * threads * (near ? loads : 1) + threadIdx.x;
  for (size_t i = begin; i + (loads - 1) * apart < n; i += loads * grid) {
    uint4 x[loads];
#pragma unroll
    for (int j = 0; j < loads; ++j) x[j] = __ldcs(from + i + j * apart);
#pragma unroll
    for (int j = 0; j < loads; ++j) sum += x[j].x ^ x[j].y ^ x[j].z ^ x[j].w;
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

/** The best of two orders, each with one wave of blocks and with two. */
double Cuda::read_rate() const {
  use();
  Buffer<In::device> from;
  from.reserve(bytes, "read rate");
  check(cudaMemsetAsync(from.as<char>(), 0x5a, bytes, stream_), "read rate");
  double best = 0;
  for (const auto kernel : {read<true>, read<false>}) {
    int blocks = 1;
    check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, threads, 0), "read rate");
    for (const int waves : {1, 2}) {
      const auto grid = static_cast<unsigned>(std::max(1, blocks) * multiprocessors() * waves);
      const double s = seconds(stream_, [&] {
        kernel<<<grid, threads, 0, stream_>>>(from.as<uint4>(), bytes / sizeof(uint4), from.as<unsigned>());
        launched("read rate");
      });
      best = std::max(best, static_cast<double>(bytes) / s);
    }
  }
  return best;
}

}  // namespace moescope::cuda
