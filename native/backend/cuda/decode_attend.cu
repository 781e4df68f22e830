// attend of one row: rotation and norm, or temperature; its key and value into the cache; z from all keys it
// sees.
//
// A KV head's keys are split over so many blocks that the device is full, whatever the length; each block
// serves all query heads of the group, so keys and values are read once: keys * head_dim * 4 bytes a KV head
// in bf16. Thirty-two groups of eight lanes take a key each; the last block of a head to be done puts the
// splits together.
//
// Reached on an H100, 2026-11-28: 4.3 MB at 1k keys of Scout in 13 to 15 us, all of it latency: as long on an
// H200.
#include <algorithm>
#include <cmath>

#include "backend/cuda/cuda.cuh"
#include "backend/cuda/decode.cuh"
#include "backend/cuda/launch.cuh"

namespace moescope::cuda {
namespace {

constexpr int threads = 256, warps = threads / 32, lanes = 8;  // lanes of a key
constexpr int most_splits = 32;

/** Four neighbours. */
__device__ void unfold(const uint2& v, float (&x)[4]) {
  x[0] = __uint_as_float(v.x << 16), x[1] = __uint_as_float(v.x & 0xffff0000u);
  x[2] = __uint_as_float(v.y << 16), x[3] = __uint_as_float(v.y & 0xffff0000u);
}

__device__ float temperature_of(const DecodeAttention& a, int position) {
  if (a.rope) return 1;
  TemperatureLaw law = a.law;
  if (a.edits.temperature) {
    const TemperatureLaw& edited = a.edits.temperature[int64_t{a.row->variant} * a.layers + a.layer];
    if (edited.kind != TemperatureLaw::Kind::model) law = edited;
  }
  return law.kind == TemperatureLaw::Kind::off ? 1.0f : temperature_at(position, law.floor, law.scale);
}

/** A warp: a head as attention sees it, in shared memory. */
template <int HD>
__device__ void prepare(float* out, const float* in, const DecodeAttention& a, bool turns, float factor) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float squares = 0;
  for (int j = lane; j < HD / 2; j += 32) {
    float x = in[2 * j], y = in[2 * j + 1];
    if (turns) {
      const float even = x * a.cos[j] - y * a.sin[j], odd = x * a.sin[j] + y * a.cos[j];
      x = even, y = odd;
    }
    out[2 * j] = x, out[2 * j + 1] = y;
    squares += x * x + y * y;
  }
  if (turns && a.norm) factor *= 1.0f / sqrtf(warp_sum(squares) / HD + a.eps);
  for (int j = lane; j < HD / 2; j += 32) out[2 * j] *= factor, out[2 * j + 1] *= factor;
}

/** Sums of one softmax over some keys, relative to 2^top, and the values they weigh; a lane has some of the
 * values. */
template <int H, int N>
struct Sums {
  float top[H], sum[H], z[H][N];
  __device__ void clear() {
    for (int h = 0; h < H; ++h) {
      top[h] = -INFINITY, sum[h] = 0;
      for (int i = 0; i < N; ++i) z[h][i] = 0;
    }
  }
  __device__ void add(int h, float score, const float (&v)[N]) {
    const float best = fmaxf(top[h], score), shrink = exp2f(top[h] - best), p = exp2f(score - best);
    top[h] = best;
    sum[h] = sum[h] * shrink + p;
#pragma unroll
    for (int i = 0; i < N; ++i) z[h][i] = z[h][i] * shrink + p * v[i];
  }
  /** Those of the lane so far away. */
  __device__ void meet(int distance) {
#pragma unroll
    for (int h = 0; h < H; ++h) {
      const float other = __shfl_xor_sync(all_lanes, top[h], distance), best = fmaxf(top[h], other);
      const float shrink = best == -INFINITY ? 0.0f : exp2f(top[h] - best);
      sum[h] *= shrink;
      sum[h] += __shfl_xor_sync(all_lanes, sum[h], distance);
      top[h] = best;
#pragma unroll
      for (int i = 0; i < N; ++i) {
        z[h][i] *= shrink;
        z[h][i] += __shfl_xor_sync(all_lanes, z[h][i], distance);
      }
    }
  }
};

/** grid (splits, KV heads); H: query heads of a KV head. */
template <int HD, int H>
__global__ void __launch_bounds__(threads) attend(const __grid_constant__ DecodeAttention a) {
  constexpr int N = HD / lanes;  // values of a lane: 4 neighbours, every 32nd
  __shared__ __align__(16) float q[H][HD], k_own[HD], v_own[HD], met[warps][H][HD + 2];
  __shared__ float share[H * most_splits];
  __shared__ bool last;
  let_successor_begin();
  after_predecessor();
  const int kv = static_cast<int>(blockIdx.y), split = static_cast<int>(blockIdx.x),
            t = static_cast<int>(threadIdx.x);
  const int warp = t / 32, lane = t % 32, part = lane % lanes;
  const int64_t position = a.row->position, base = a.chunk > 0 ? position / a.chunk * a.chunk : 0,
                keys = position - base + 1;
  const float factor = temperature_of(a, static_cast<int>(position));
  const int64_t head = int64_t{kv} * a.kv.slots * HD;
  uint16_t *k = static_cast<uint16_t*>(a.kv.k) + head, *v = static_cast<uint16_t*>(a.kv.v) + head;
  const int64_t each = (keys + a.splits - 1) / a.splits, from = each * split, to = min(from + each, keys);
  const bool own = from < keys && to == keys;  // the new key's split
  // A key's values of this lane, on their way while the one before is worked on.
  struct Piece {
    uint2 k[N / 4], v[N / 4];
  };
  const auto fetch = [&](Piece& p, int64_t key) {
    if (key >= to || key == keys - 1) return;
#pragma unroll
    for (int i = 0; i < N / 4; ++i) {
      p.k[i] = *reinterpret_cast<const uint2*>(k + key * HD + i * 32 + part * 4);
      p.v[i] = *reinterpret_cast<const uint2*>(v + key * HD + i * 32 + part * 4);
    }
  };
  const int64_t mine_first = from + warp * 4 + lane / lanes;
  Piece piece{}, next{};
  fetch(piece, mine_first);

  for (int h = warp; h <= H; h += warps) {
    if (h < H) prepare<HD>(q[h], a.q + (int64_t{kv} * H + h) * HD, a, a.rope, factor);
    else prepare<HD>(k_own, a.k + int64_t{kv} * HD, a, a.rope, 1.0f);
  }
  for (int i = t; i < HD; i += threads) v_own[i] = a.v[int64_t{kv} * HD + i];
  __syncthreads();
  for (int i = t; own && i < HD; i += threads) {
    const uint16_t key = to_bf16(k_own[i]), value = to_bf16(v_own[i]);
    k_own[i] = from_bf16(key);
    v_own[i] = from_bf16(value);
    if (a.row->done) continue;
    k[(keys - 1) * HD + i] = key;
    v[(keys - 1) * HD + i] = value;
  }
  __syncthreads();

  float mine[H][N];
#pragma unroll
  for (int h = 0; h < H; ++h)
#pragma unroll
    for (int i = 0; i < N; ++i) mine[h][i] = q[h][i / 4 * 32 + part * 4 + i % 4] * a.scale;
  Sums<H, N> sums;
  sums.clear();
  // All lanes of a warp go round as often, so that they may exchange.
  for (int64_t first = from + warp * 4; first < to; first += 4 * warps) {
    const int64_t key = first + lane / lanes;
    fetch(next, key + 4 * warps);
    const bool there = key < to, newest = key == keys - 1;
    float ks[N], vs[N];
#pragma unroll
    for (int i = 0; i < N / 4; ++i) {
      float x[4], y[4];
      unfold(piece.k[i], x);
      unfold(piece.v[i], y);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int at = i * 32 + part * 4 + j;
        ks[4 * i + j] = newest ? k_own[at] : x[j];
        vs[4 * i + j] = newest ? v_own[at] : y[j];
      }
    }
#pragma unroll
    for (int h = 0; h < H; ++h) {
      float score = 0;
#pragma unroll
      for (int i = 0; i < N; ++i) score += mine[h][i] * ks[i];
      for (int i = 1; i < lanes; i *= 2) score += __shfl_xor_sync(all_lanes, score, i);
      if (there) sums.add(h, score, vs);
    }
    piece = next;
  }
  sums.meet(8);
  sums.meet(16);
  if (lane < lanes) {
#pragma unroll
    for (int h = 0; h < H; ++h) {
      if (lane == 0) met[warp][h][0] = sums.top[h], met[warp][h][1] = sums.sum[h];
#pragma unroll
      for (int i = 0; i < N; ++i) met[warp][h][2 + i / 4 * 32 + part * 4 + i % 4] = sums.z[h][i];
    }
  }
  __syncthreads();
  // Partial results: tops, then sums, then values, [head][split] each.
  const int64_t heads = int64_t{a.kv_heads} * H, cell = (int64_t{kv} * H) * a.splits + split;
  float *tops = a.part, *all = tops + heads * a.splits, *values = a.part + (2 * heads * a.splits + 3) / 4 * 4;
  for (int i = t; i < H * HD; i += threads) {
    const int h = i / HD;
    float top = -INFINITY, sum = 0, z = 0;
#pragma unroll
    for (int w = 0; w < warps; ++w) top = fmaxf(top, met[w][h][0]);
#pragma unroll
    for (int w = 0; w < warps; ++w) {
      const float shrink = met[w][h][0] == -INFINITY ? 0.0f : exp2f(met[w][h][0] - top);
      sum += shrink * met[w][h][1];
      z += shrink * met[w][h][2 + i % HD];
    }
    const int64_t at = cell + int64_t{h} * a.splits;
    if (i % HD == 0) tops[at] = top, all[at] = sum;
    values[at * HD + i % HD] = z;
  }
  __threadfence();
  __syncthreads();
  if (t == 0) last = atomicAdd(a.arrived + kv, 1u) == static_cast<unsigned>(a.splits) - 1;
  __syncthreads();
  if (!last) return;
  __threadfence();
  // How much each split counts, a lane each; then all values at once.
  const int64_t first = int64_t{kv} * H * a.splits;
  for (int h = warp; h < H; h += warps) {
    const bool there = lane < a.splits;
    const float own_top = there ? __ldcg(tops + first + h * a.splits + lane) : -INFINITY,
                own_sum = there ? __ldcg(all + first + h * a.splits + lane) : 0.0f;
    float top = own_top;
    for (int i = 16; i > 0; i /= 2) top = fmaxf(top, __shfl_xor_sync(all_lanes, top, i));
    const float shrink = own_top == -INFINITY ? 0.0f : exp2f(own_top - top), sum = warp_sum(shrink * own_sum);
    if (there) share[h * a.splits + lane] = shrink / sum;
    if (lane == 0) a.lse[int64_t{kv} * H + h] = (top + log2f(sum)) * ln_of_2;
  }
  __syncthreads();
  for (int i = t * 4; i < H * HD; i += threads * 4) {
    const int h = i / HD;
    const float* from = values + (first + int64_t{h} * a.splits) * HD + i % HD;
    float4 z = make_float4(0, 0, 0, 0);
#pragma unroll 16
    for (int s = 0; s < a.splits; ++s) {
      const float4 v = __ldcg(reinterpret_cast<const float4*>(from + int64_t{s} * HD));
      const float w = share[h * a.splits + s];
      z.x += w * v.x, z.y += w * v.y, z.z += w * v.z, z.w += w * v.w;
    }
    *reinterpret_cast<float4*>(a.z + int64_t{kv} * H * HD + i) = z;
  }
}

template <int HD>
void launch(const DecodeAttention& a, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(a.splits), static_cast<unsigned>(a.kv_heads));
  const auto go = [&](auto kernel) { launch_after(kernel, grid, threads, 0, true, stream, "attention", a); };
  switch (a.heads / a.kv_heads) {
    case 1:
      return go(attend<HD, 1>);
    case 2:
      return go(attend<HD, 2>);
    case 3:
      return go(attend<HD, 3>);
    case 4:
      return go(attend<HD, 4>);
    default:
      return go(attend<HD, 5>);
  }
}

}  // namespace

bool decode_attention_fits(const Config& c) {
  return (c.head_dim == 32 || c.head_dim == 64 || c.head_dim == 128) && c.heads / c.kv_heads <= 5;
}
int decode_splits(const Config& c) { return std::clamp(multiprocessors() / c.kv_heads, 1, most_splits); }
int64_t decode_attention_floats(const Config& c) {
  return int64_t{c.heads} * decode_splits(c) * (c.head_dim + 2) + 4;
}

void launch_decode_attention(const DecodeAttention& a, cudaStream_t stream) {
  if (a.head_dim == 32) launch<32>(a, stream);
  else if (a.head_dim == 64) launch<64>(a, stream);
  else launch<128>(a, stream);
}

}  // namespace moescope::cuda
