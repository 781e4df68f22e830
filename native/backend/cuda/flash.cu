// attend for prompts: softmax(q k) v of a segment's rows on the tensor cores, in the manner of
// FlashAttention-2 (Dao, 2023).
//
// 64 rows of one head a block, 64 keys at a time, two tiles of keys and values on their way; q, k, v and the
// weights in bf16, scores, sums and z in f32. 4 * head_dim flops a visible key and row; keys come from L2.
// Agrees with `attend.cu`, its slow twin, to bf16's rounding.
#include <algorithm>
#include <cmath>

#include "backend/cuda/cuda.cuh"
#include "backend/cuda/launch.cuh"

namespace moescope::cuda {
namespace {

constexpr int threads = 128, side = 64;

struct Flash {
  const float* q;
  float *z, *lse;
  const uint16_t *k, *v;
  int heads, kv_heads, row0, count;
  int64_t seen;  // keys of the first row
  int64_t slots;
  float scale;  // of scores, in powers of two
};

template <int HD>
struct Shape {
  static constexpr int pitch =
      HD + 8;  // of a key in shared memory: 16 bytes on, so that eight rows meet no bank twice
  static constexpr int tile = side * pitch;
  static constexpr size_t bytes = sizeof(uint16_t) * 4 * tile;
};

__device__ uint32_t pair_of(float low, float high) {
  uint32_t out;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(high), "f"(low));
  return out;
}

__device__ void load_matrices(uint32_t (&r)[4], const uint16_t* at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(at))));
}
__device__ void load_transposed(uint32_t (&r)[4], const uint16_t* at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(at))));
}
__device__ void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/** Over the four lanes of a row. */
__device__ float quad_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(all_lanes, x, 1));
  return fmaxf(x, __shfl_xor_sync(all_lanes, x, 2));
}
__device__ float quad_sum(float x) {
  x += __shfl_xor_sync(all_lanes, x, 1);
  return x + __shfl_xor_sync(all_lanes, x, 2);
}

/** Copies keys [first, first + side) of one head; beyond `seen` the last one stands in, and is masked. */
template <int HD>
__device__ void fetch(uint16_t* to, const uint16_t* from, int64_t first, int64_t seen) {
  constexpr int pieces = HD / 8;
  for (int i = static_cast<int>(threadIdx.x); i < side * pieces; i += threads) {
    const int64_t key = min(static_cast<long long>(first + i / pieces), static_cast<long long>(seen - 1));
    copy16(to + i / pieces * Shape<HD>::pitch + i % pieces * 8, from + key * HD + i % pieces * 8);
  }
}

/** grid (tiles of rows, heads) */
template <int HD>
__global__ void __launch_bounds__(threads) flash(Flash f) {
  extern __shared__ __align__(128) uint16_t shared16[];
  using S = Shape<HD>;
  // The last rows see most: they begin first.
  const int first = (static_cast<int>(gridDim.x) - 1 - static_cast<int>(blockIdx.x)) * side;
  const int h = static_cast<int>(blockIdx.y), lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4,
            t = lane % 4;
  const int row[2] = {first + static_cast<int>(threadIdx.x) / 32 * 16 + g,
                      first + static_cast<int>(threadIdx.x) / 32 * 16 + g + 8};
  const int64_t head = int64_t{h / (f.heads / f.kv_heads)} * f.slots * HD;
  const uint16_t *k = f.k + head, *v = f.v + head;
  const int64_t most = f.seen + min(first + side, f.count) - 1;
  const int tiles = static_cast<int>((most + side - 1) / side);

  uint32_t q[HD / 16][4];
  for (int j = 0; j < HD / 16; ++j)
    for (int i = 0; i < 4; ++i) {
      const int64_t r = f.row0 + min(row[i % 2], f.count - 1);
      const float2 two =
          *reinterpret_cast<const float2*>(f.q + (r * f.heads + h) * HD + 16 * j + i / 2 * 8 + 2 * t);
      q[j][i] = pair_of(two.x, two.y);
    }

  fetch<HD>(shared16, k, 0, most);
  fetch<HD>(shared16 + 2 * S::tile, v, 0, most);
  copies_begin();
  float out[HD / 8][4] = {}, top[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
  for (int n = 0; n < tiles; ++n) {
    const uint16_t *kt = shared16 + n % 2 * S::tile, *vt = shared16 + (2 + n % 2) * S::tile;
    if (n + 1 < tiles) {
      fetch<HD>(shared16 + (n + 1) % 2 * S::tile, k, int64_t{n + 1} * side, most);
      fetch<HD>(shared16 + (2 + (n + 1) % 2) * S::tile, v, int64_t{n + 1} * side, most);
    }
    copies_begin();
    copies_wait<1>();
    __syncthreads();

    float s[side / 8][4] = {};
#pragma unroll
    for (int j = 0; j < HD / 16; ++j)
#pragma unroll
      for (int i = 0; i < side / 16; ++i) {
        uint32_t b[4];
        load_matrices(b, kt + (16 * i + lane / 16 * 8 + lane % 8) * S::pitch + 16 * j + lane / 8 % 2 * 8);
        mma(s[2 * i], q[j], b[0], b[1]);
        mma(s[2 * i + 1], q[j], b[2], b[3]);
      }

    const bool masked = int64_t{n + 1} * side > f.seen + first;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int64_t seen = f.seen + row[half] - int64_t{n} * side;  // of this tile
      float best = top[half];
#pragma unroll
      for (int i = 0; i < side / 8; ++i)
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          float& x = s[i][2 * half + j];
          x = masked && 8 * i + 2 * t + j >= seen ? -INFINITY : x * f.scale;
          best = fmaxf(best, x);
        }
      best = quad_max(best);
      const float shrink = exp2f(top[half] - best);
      float more = 0;
#pragma unroll
      for (int i = 0; i < side / 8; ++i)
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          float& x = s[i][2 * half + j];
          x = exp2f(x - best);
          more += x;
        }
      sum[half] = sum[half] * shrink + quad_sum(more);
      top[half] = best;
#pragma unroll
      for (int i = 0; i < HD / 8; ++i) {
        out[i][2 * half] *= shrink;
        out[i][2 * half + 1] *= shrink;
      }
    }

#pragma unroll
    for (int i = 0; i < side / 16; ++i) {
      const uint32_t p[4] = {pair_of(s[2 * i][0], s[2 * i][1]), pair_of(s[2 * i][2], s[2 * i][3]),
                             pair_of(s[2 * i + 1][0], s[2 * i + 1][1]),
                             pair_of(s[2 * i + 1][2], s[2 * i + 1][3])};
#pragma unroll
      for (int j = 0; j < HD / 16; ++j) {
        uint32_t b[4];
        load_transposed(b, vt + (16 * i + lane / 8 % 2 * 8 + lane % 8) * S::pitch + 16 * j + lane / 16 * 8);
        mma(out[2 * j], p, b[0], b[1]);
        mma(out[2 * j + 1], p, b[2], b[3]);
      }
    }
    __syncthreads();  // before the next tile but one takes this one's place
  }

  for (int half = 0; half < 2; ++half) {
    if (row[half] >= f.count) continue;
    const int64_t r = f.row0 + row[half];
    float* z = f.z + (r * f.heads + h) * HD;
    for (int i = 0; i < HD / 8; ++i)
      *reinterpret_cast<float2*>(z + 8 * i + 2 * t) =
          make_float2(out[i][2 * half] / sum[half], out[i][2 * half + 1] / sum[half]);
    if (t == 0) f.lse[r * f.heads + h] = (top[half] + log2f(sum[half])) * ln_of_2;
  }
}

template <int HD>
void launch(const Flash& f, cudaStream_t stream) {
  allow_shared(reinterpret_cast<const void*>(flash<HD>), Shape<HD>::bytes);
  flash<HD><<<dim3(static_cast<unsigned>((f.count + side - 1) / side), static_cast<unsigned>(f.heads)),
              threads, Shape<HD>::bytes, stream>>>(f);
  launched("attention");
}

}  // namespace

bool Cuda::flash_ok(const Segment& g) const {
  return kv_bytes_ == 2 && g.count >= 16 && (c.head_dim == 32 || c.head_dim == 64 || c.head_dim == 128);
}

void Cuda::flash(const Segment& g, int l) {
  const KvLayer& kv = g.kv[l];
  Flash f{};
  f.q = a.q, f.z = a.z, f.lse = a.lse;
  f.k = static_cast<const uint16_t*>(kv.k), f.v = static_cast<const uint16_t*>(kv.v);
  f.heads = c.heads, f.kv_heads = c.kv_heads, f.row0 = g.row, f.count = g.count;
  f.seen = (c.chunks(l) ? g.position % c.chunk : g.position) + 1;
  f.slots = kv.slots;
  f.scale = static_cast<float>(log2_of_e / std::sqrt(static_cast<double>(c.head_dim)));
  if (c.head_dim == 32) launch<32>(f, stream_);
  else if (c.head_dim == 64) launch<64>(f, stream_);
  else launch<128>(f, stream_);
}

}  // namespace moescope::cuda
