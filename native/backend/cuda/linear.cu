// y = W x of one row from int4 weights: q, k and v with their norm, o and the head; also what few rows need
// elsewhere.
//
// rows * cols * 9/16 bytes to move (groups of 32). A block a multiprocessor, each taking every 132nd unit: 8
// outputs, whose columns are cut in two streams and again in four parts, so that its 32 warps share it.
//
// Reached on an H100 (reads 3.2 TB/s), 2026-11-28, groups of 32, Scout's widths: the head's 583 MB in 223 us
// (2.6 TB/s), qkv's 20.7 MB in 16 us and o's 14.8 MB in 13 us (1.3 and 1.1 TB/s: what comes before the first
// product counts there); on an H200 (4.7 TB/s) in 155, 15 and 12 us.
#include <algorithm>

#include "backend/cuda/cuda.cuh"
#include "backend/cuda/launch.cuh"
#include "backend/cuda/linear.cuh"

namespace moescope::cuda {

namespace {

/** Columns of x as its two streams read it: both halves whole tiles. */
__host__ __device__ int half_tiles(int cols) { return ((cols + 127) / 128 + 1) / 2; }

struct Cut {
  int parts, steps;
  size_t shared;
};

template <int G>
Cut cut(int cols, int units, int blocks) {
  const int local = (units + blocks - 1) / blocks;
  Cut c{local <= stream_warps ? 4 : 1, half_tiles(cols), 0};
  c.shared = stream_ring<G>() + static_cast<size_t>(local * c.parts) * 64 +
             static_cast<size_t>(Halves::bytes(256 * c.steps));
  return c;
}

template <int G, int N, int parts>
__global__ void __launch_bounds__(stream_threads)
    linear(const __grid_constant__ Linear l, int units, int steps) {
  extern __shared__ __align__(128) std::byte shared[];
  let_successor_begin();
  const int row = static_cast<int>(blockIdx.y), first = static_cast<int>(blockIdx.x),
            blocks = static_cast<int>(gridDim.x);
  const int local = first < units ? (units - first + blocks - 1) / blocks : 0;
  float* part = reinterpret_cast<float*>(shared + StreamTile<G>::ring);
  const Halves halves{reinterpret_cast<__half*>(part + local * parts * 16), 256 * steps};
  const auto locate = [&](int unit, int& matrix) {
    int tile = first + unit * blocks;
    for (matrix = 0; tile >= l.w[matrix].row_tiles;) tile -= l.w[matrix++].row_tiles;
    return tile;
  };
  const void* expert = nullptr;
  if (l.experts) {
    after_predecessor();
    expert = l.experts[l.choice[row]];
  }
  const auto place = [&](int unit, int stream) {
    int i = 0;
    const int tile = locate(unit, i), all = l.w[i].col_tiles;
    const Int4 w = expert ? l.w[0].at(expert) : l.w[i];
    if (stream == 0) return rows8<G>(w, tile, 0, steps);
    return all > steps ? rows8<G>(w, tile, steps, all - steps) : rows8<G>(w, tile, 0, 1);
  };
  Stream<G, parts, decltype(place)> stream(shared, local, steps, place);
  stream.begin(local);
  for (int i = static_cast<int>(threadIdx.x); i < local * parts * 16; i += stream_threads) part[i] = 0;
  Held<N> x, weight;
  if (l.norm) weight.load(l.norm, l.cols);
  if (!l.experts) after_predecessor();

  x.load(l.x + int64_t{row} * l.cols, l.cols);
  float largest = 0;
  if (l.norm) {
    largest = norm_row(x, weight, l.cols, l.eps);
  } else {
    for (int i = 0; i < N; ++i) largest = fmaxf(largest, fabsf(x.x[i]));
    largest = block_sum_and_most(0, largest).most;
  }
  const float down = fill_halves(halves, x, largest);
  __syncthreads();
  stream.finish([&](int, int half) { return halves.high + 128 * steps * half; },
                Halves::pitch(halves.columns), part);
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < local * 8; i += stream_threads) {
    int matrix = 0;
    const int64_t r = int64_t{locate(i / 8, matrix)} * 8 + i % 8, n = l.w[matrix].rows;
    if (r >= n) continue;
    float sum = down * (unit_sum<parts>(part, i / 8, 0, i % 8) + unit_sum<parts>(part, i / 8, 1, i % 8));
    if (l.add) sum += l.add[row * n + r];
    l.y[matrix][row * n + r] = sum;
  }
}

template <int G, int N>
void launch(const Linear& l, int rows, bool follows, cudaStream_t stream) {
  int units = 0;
  for (int i = 0; i < l.count; ++i) units += l.w[i].row_tiles;
  const int blocks = std::min(multiprocessors(), units);
  const Cut c = cut<G>(l.cols, units, blocks);
  const auto kernel = c.parts == 1 ? linear<G, N, 1> : linear<G, N, 4>;
  allow_shared(reinterpret_cast<const void*>(kernel), c.shared);
  launch_after(kernel, dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(rows)), stream_threads,
               c.shared, follows, stream, "linear", l, units, c.steps);
}

template <int G>
void launch(const Linear& l, int rows, bool follows, cudaStream_t stream) {
  const int columns = 256 * half_tiles(l.cols);
  if (columns <= 5 * stream_threads) launch<G, 5>(l, rows, follows, stream);
  else if (columns <= 8 * stream_threads) launch<G, 8>(l, rows, follows, stream);
  else launch<G, 16>(l, rows, follows, stream);
}

}  // namespace

bool linear_fits(int64_t rows, int64_t cols) {
  const int64_t units = (rows + 7) / 8;
  return cols <= 16 * stream_threads && units < 1 << 20 &&
         fits_shared(cut<32>(static_cast<int>(cols), static_cast<int>(units),
                             static_cast<int>(std::min<int64_t>(units, multiprocessors())))
                         .shared);
}

void launch_linear(const Linear& l, int group, int rows, bool follows, cudaStream_t stream) {
  by_group(group, [&](auto g) { launch<g>(l, rows, follows, stream); });
}

}  // namespace moescope::cuda
