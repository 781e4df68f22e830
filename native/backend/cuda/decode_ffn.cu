// The feed-forward half of a layer for one row, in two kernels: norm, router, gate, up and SwiGLU; then the
// down projections and the sum. 3 d ff (2 for a routed layer) * 9/16 bytes to move (groups of 32): 142 MB a
// layer of Scout.
//
// Nobody waits for the router: every block first streams its share of the shared expert, while a few blocks
// form a logit each; a warp that comes to the routed expert's rows looks whether all logits are there, and
// chooses. The score multiplies the input, so it multiplies what gate and up give.
//
// Reached on an H100 (reads 3.2 TB/s), 2026-11-28, a layer of Scout, groups of 32: the first kernel 94.8 MB
// in 46 us (2.0 TB/s), the second 47.3 MB in 27 us (1.8 TB/s); on an H200 (4.7 TB/s) in 37 and 23 us.
#include <algorithm>

#include "backend/cpu/route.h"
#include "backend/cuda/cuda.cuh"
#include "backend/cuda/decode.cuh"
#include "backend/cuda/launch.cuh"

namespace moescope::cuda {
namespace {

constexpr int parts = 4;

/** Units of a block, one matrix after the other: every `gridDim`-th eight rows of each. */
struct Share {
  int first, blocks, tiles;
  __device__ Share(int rows)
      : first(static_cast<int>(blockIdx.x)), blocks(static_cast<int>(gridDim.x)), tiles((rows + 7) / 8) {}
  __device__ int local() const { return first < tiles ? (tiles - first + blocks - 1) / blocks : 0; }
  __device__ int tile(int unit) const {
    const int n = local();
    return first + (unit < n ? unit : unit - n) * blocks;
  }
};

__device__ unsigned look(const unsigned* at) {
  unsigned value;
  asm volatile("ld.acquire.gpu.u32 %0, [%1];" : "=r"(value) : "l"(at));
  return value;
}

struct Choice {
  int32_t expert;
  float score;
};

/** Of the whole warp: waits for the router's logits, and chooses. */
__device__ Choice choose(const DecodeFfn& f, float* logits) {
  while (look(f.arrived) < static_cast<unsigned>(f.experts)) __nanosleep(20);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int e = lane; e < f.experts; e += 32) logits[e] = __ldcg(f.logit + e);
  __syncwarp();
  Choice c{0, 0};
  if (lane == 0) route_row(f.edits, f.layers, f.layer, f.experts, 1, 0, logits, &c.expert, &c.score);
  c.expert = __shfl_sync(all_lanes, c.expert, 0);
  c.score = __shfl_sync(all_lanes, c.score, 0);
  return c;
}

/** N: elements of the row that a thread holds. */
template <int G, int N>
__global__ void __launch_bounds__(stream_threads) up(const __grid_constant__ DecodeFfn f) {
  extern __shared__ __align__(128) std::byte shared[];
  __shared__ float score_of_routed;
  let_successor_begin();
  const Share share(f.ff);
  const int local = share.local(), units = f.experts > 0 ? 2 * local : local, tiles = f.gate.col_tiles;
  float* part = reinterpret_cast<float*>(shared + StreamTile<G>::ring);
  const Halves halves{reinterpret_cast<__half*>(part + units * parts * 16), 128 * tiles};
  float* logits =  // of this warp
      reinterpret_cast<float*>(reinterpret_cast<std::byte*>(halves.high) + Halves::bytes(halves.columns)) +
      static_cast<int>(threadIdx.x) / 32 * f.experts;
  Choice mine{-1, 0};
  const auto place = [&](int unit, int stream) {
    const Int4& w = stream == 0 ? f.gate : f.up;
    if (unit < local) return rows8<G>(w, share.tile(unit), 0, tiles);
    if (mine.expert < 0) mine = choose(f, logits);
    return rows8<G>(w.at(f.routed[stream][mine.expert]), share.tile(unit), 0, tiles);
  };
  Stream<G, parts, decltype(place)> stream(shared, units, tiles, place);
  stream.begin(local);
  for (int i = static_cast<int>(threadIdx.x); i < units * parts * 16; i += stream_threads) part[i] = 0;
  Held<N> x, weight;
  weight.load(f.norm, f.d);
  after_predecessor();

  x.load(f.x, f.d);
  const float largest = norm_row(x, weight, f.d, f.eps);
  for (int e = share.first; e < f.experts; e += share.blocks) {
    weight.load(f.router + int64_t{e} * f.d, f.d);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < N; ++i) sum += x.x[i] * weight.x[i];
    sum = block_sum_and_most(sum, 0).sum;
    if (threadIdx.x == 0) {
      f.logit[e] = sum;
      __threadfence();
      atomicAdd(f.arrived, 1u);
    }
  }
  const float down = fill_halves(halves, x, largest);
  __syncthreads();
  stream.finish([&](int, int) { return halves.high; }, Halves::pitch(halves.columns), part);
  if (f.experts > 0 && threadIdx.x < 32) {
    if (mine.expert < 0) mine = choose(f, logits);
    if (threadIdx.x == 0) {
      score_of_routed = mine.score;
      if (share.first == 0) {
        *f.choice = mine.expert;
        *f.choice_f = static_cast<float>(mine.expert);
        *f.score = mine.score;
      }
    }
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < units * 8; i += stream_threads) {
    const int unit = i / 8, r = share.tile(unit) * 8 + i % 8;
    if (r >= f.ff) continue;
    const float score = unit < local ? 1.0f : score_of_routed;
    const float gate = score * down * unit_sum<parts>(part, unit, 0, i % 8),
                up = score * down * unit_sum<parts>(part, unit, 1, i % 8);
    (unit < local ? f.act : f.routed_act)[r] = gate / (1.0f + expf(-gate)) * up;
  }
}

template <int G, int N>
__global__ void __launch_bounds__(stream_threads) down(const __grid_constant__ DecodeFfn f) {
  extern __shared__ __align__(128) std::byte shared[];
  let_successor_begin();
  const Share share(f.d);
  const int local = share.local(), inputs = f.experts > 0 ? 2 : 1, units = inputs * local;
  const int tiles = f.down.col_tiles, steps = (tiles + 1) / 2;
  float* part = reinterpret_cast<float*>(shared + StreamTile<G>::ring);
  const int columns = 256 * steps, apart = Halves::bytes(columns) / 2;
  __half* halves = reinterpret_cast<__half*>(part + units * parts * 16);
  const void* routed = nullptr;
  const auto place = [&](int unit, int half) {
    if (unit >= local && !routed) routed = f.routed[2][__ldcg(f.choice)];
    const Int4 w = unit < local ? f.down : f.down.at(routed);
    if (half == 0) return rows8<G>(w, share.tile(unit), 0, steps);
    return tiles > steps ? rows8<G>(w, share.tile(unit), steps, tiles - steps)
                         : rows8<G>(w, share.tile(unit), 0, 1);
  };
  Stream<G, parts, decltype(place)> stream(shared, units, steps, place);
  stream.begin(local);
  for (int i = static_cast<int>(threadIdx.x); i < units * parts * 16; i += stream_threads) part[i] = 0;
  after_predecessor();

  const auto take = [&](const float* from, __half* to) {
    Held<N> act;
    act.load(from, f.ff);
    float largest = 0;
#pragma unroll
    for (int i = 0; i < N; ++i) largest = fmaxf(largest, fabsf(act.x[i]));
    return fill_halves(Halves{to, columns}, act, block_sum_and_most(0, largest).most);
  };
  const float down_own = take(f.act, halves),
              down_routed = inputs > 1 ? take(f.routed_act, halves + apart) : 0;
  __syncthreads();
  stream.finish([&](int unit, int half) { return halves + (unit < local ? 0 : apart) + 128 * steps * half; },
                Halves::pitch(columns), part);
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < local * 8; i += stream_threads) {
    const int r = share.tile(i / 8) * 8 + i % 8;
    if (r >= f.d) continue;
    float sum = f.x[r];
    const auto of = [&](int unit) {
      return unit_sum<parts>(part, unit, 0, i % 8) + unit_sum<parts>(part, unit, 1, i % 8);
    };
    sum += down_own * of(i / 8);
    if (inputs > 1) sum += down_routed * of(i / 8 + local);
    f.x[r] = sum;
    if (!isfinite(sum)) atomicMin(f.bad, f.mark);
  }
}

int blocks_for(int rows) { return std::min(multiprocessors(), (rows + 7) / 8); }
size_t part_bytes(int rows, int inputs) {
  const int blocks = blocks_for(rows), local = ((rows + 7) / 8 + blocks - 1) / blocks;
  return static_cast<size_t>(local * inputs * parts) * 64;
}
size_t up_bytes(size_t ring, int d, int ff, int experts) {
  return ring + part_bytes(ff, experts > 0 ? 2 : 1) +
         static_cast<size_t>(Halves::bytes((d + 127) / 128 * 128)) +
         static_cast<size_t>(experts * stream_warps) * 4;
}
size_t down_bytes(size_t ring, int d, int ff, int inputs) {
  return ring + part_bytes(d, inputs) + static_cast<size_t>(inputs * Halves::bytes((ff + 255) / 256 * 256));
}

template <int G, int N>
void launch_up(const DecodeFfn& f, cudaStream_t stream) {
  const size_t bytes = up_bytes(stream_ring<G>(), f.d, f.ff, f.experts);
  allow_shared(reinterpret_cast<const void*>(up<G, N>), bytes);
  launch_after(up<G, N>, dim3(static_cast<unsigned>(blocks_for(f.ff))), stream_threads, bytes, true, stream,
               "route_ffn", f);
}
template <int G, int N>
void launch_down(const DecodeFfn& f, cudaStream_t stream) {
  const size_t bytes = down_bytes(stream_ring<G>(), f.d, f.ff, f.experts > 0 ? 2 : 1);
  allow_shared(reinterpret_cast<const void*>(down<G, N>), bytes);
  launch_after(down<G, N>, dim3(static_cast<unsigned>(blocks_for(f.d))), stream_threads, bytes, true, stream,
               "ffn_down", f);
}

}  // namespace

bool decode_ffn_fits(int d, int ff, int experts) {
  return d <= 8 * stream_threads && ff <= 16 * stream_threads &&
         fits_shared(std::max(up_bytes(stream_ring<32>(), d, ff, experts),
                              down_bytes(stream_ring<32>(), d, ff, experts > 0 ? 2 : 1)));
}

void launch_decode_up(const DecodeFfn& f, int group, cudaStream_t stream) {
  by_group(group, [&](auto g) {
    if (f.d <= 5 * stream_threads) launch_up<g, 5>(f, stream);
    else launch_up<g, 8>(f, stream);
  });
}

void launch_decode_down(const DecodeFfn& f, int group, cudaStream_t stream) {
  by_group(group, [&](auto g) {
    if (f.ff <= 8 * stream_threads) launch_down<g, 8>(f, stream);
    else launch_down<g, 16>(f, stream);
  });
}

}  // namespace moescope::cuda
