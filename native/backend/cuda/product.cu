// Products y = x W^T with f32 activations: values agree with the CPU's to the order of sums.
//
// `thin` serves up to 8 rows of f32 or bf16 weights: a warp forms an output for all rows of its group, so
// each weight is read once: rows(w) * cols(w) * bytes of a weight to move, nothing else counts. int4 goes row
// by row through `linear.cu`. `tiled` serves more rows of any format, 64 x 64 outputs a block from shared
// memory, bound by f32 arithmetic: the slow twin of `wide.cu`, and its place where there is no cuBLASLt.
#include "backend/cuda/convert.cuh"
#include "backend/cuda/cuda.cuh"
#include "backend/cuda/linear.cuh"
#include "backend/cuda/reduce.cuh"

namespace moescope::cuda {
namespace {

constexpr int thin_rows = Cuda::few_rows, thin_warps = 4;
constexpr int side = 64, depth = 32, threads = 256;

/** A matrix as it is read element by element. */
template <class W>
struct Plain {
  static __device__ float at(const void* data, int64_t, int64_t k, int64_t r, int64_t c) {
    return element(static_cast<const W*>(data), r * k + c);
  }
};
template <int G>
struct Grouped {
  static __device__ float at(const void* data, int64_t n, int64_t k, int64_t r, int64_t c) {
    return int4_element(data, Int4Layout{n, k, G}, r, c);
  }
};

struct Product {
  const void* w;
  const void* const* experts;  // null: w
  const int32_t* choice;       // experts: of each slot
  const int32_t* begin;        // experts: [experts + 1]
  const int32_t* slots;
  const float* x;  // [m, k]
  float* y;        // [m, n]
  int m;
  int64_t n, k;
};

template <class W, int M>
__global__ void __launch_bounds__(32 * thin_warps) thin(Product p) {
  const int64_t o = int64_t{blockIdx.x} * thin_warps + threadIdx.x / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32, first = static_cast<int>(blockIdx.y) * M;
  if (o >= p.n) return;
  const W* w = static_cast<const W*>(p.experts ? p.experts[p.choice[first]] : p.w) + o * p.k;
  const float* x = p.x + first * p.k;
  float sum[M] = {};
  const bool fours = p.k % 8 == 0;  // then rows of both are aligned
  if (fours) {
    for (int64_t i = lane * 4; i < p.k; i += 128) {
      float f[4];
      if constexpr (sizeof(W) == 4) {
        const float4 four = *reinterpret_cast<const float4*>(w + i);
        f[0] = four.x, f[1] = four.y, f[2] = four.z, f[3] = four.w;
      } else {
        const uint2 four = *reinterpret_cast<const uint2*>(w + i);
        f[0] = __uint_as_float(four.x << 16), f[1] = __uint_as_float(four.x & 0xffff0000u);
        f[2] = __uint_as_float(four.y << 16), f[3] = __uint_as_float(four.y & 0xffff0000u);
      }
#pragma unroll
      for (int r = 0; r < M; ++r) {
        if (first + r >= p.m) break;
        const float4 v = *reinterpret_cast<const float4*>(x + r * p.k + i);
        sum[r] += f[0] * v.x + f[1] * v.y + f[2] * v.z + f[3] * v.w;
      }
    }
  } else {
    for (int64_t i = lane; i < p.k; i += 32) {
      const float f = element(w, i);
#pragma unroll
      for (int r = 0; r < M; ++r)
        if (first + r < p.m) sum[r] += f * x[r * p.k + i];
    }
  }
#pragma unroll
  for (int r = 0; r < M; ++r) {
    const float total = warp_sum(sum[r]);
    if (lane == 0 && first + r < p.m) p.y[(first + r) * p.n + o] = total;
  }
}

template <class Read>
__global__ void __launch_bounds__(threads) tiled(Product p) {
  __shared__ float xs[depth][side + 4], ws[depth][side + 4];
  const int e = static_cast<int>(blockIdx.z);
  const int from = p.experts ? p.begin[e] : 0, count = p.experts ? p.begin[e + 1] - from : p.m;
  const int row0 = static_cast<int>(blockIdx.y) * side;
  if (row0 >= count) return;
  const int64_t col0 = int64_t{blockIdx.x} * side;
  const void* w = p.experts ? p.experts[e] : p.w;
  const auto row = [&](int i) { return p.experts ? p.slots[from + i] : i; };
  const int t = static_cast<int>(threadIdx.x), lane = t % depth, line = t / depth;
  const int ty = t / 16 * 4, tx = t % 16 * 4;
  float sum[4][4] = {};
  for (int64_t k0 = 0; k0 < p.k; k0 += depth) {
    const int64_t k = k0 + lane;
#pragma unroll
    for (int i = line; i < side; i += threads / depth) {
      xs[lane][i] = row0 + i < count && k < p.k ? p.x[int64_t{row(row0 + i)} * p.k + k] : 0.0f;
      ws[lane][i] = col0 + i < p.n && k < p.k ? Read::at(w, p.n, p.k, col0 + i, k) : 0.0f;
    }
    __syncthreads();
#pragma unroll 8
    for (int j = 0; j < depth; ++j) {
      const float4 x4 = *reinterpret_cast<const float4*>(&xs[j][ty]);
      const float4 w4 = *reinterpret_cast<const float4*>(&ws[j][tx]);
      const float xv[4] = {x4.x, x4.y, x4.z, x4.w}, wv[4] = {w4.x, w4.y, w4.z, w4.w};
#pragma unroll
      for (int r = 0; r < 4; ++r)
#pragma unroll
        for (int o = 0; o < 4; ++o) sum[r][o] += xv[r] * wv[o];
    }
    __syncthreads();
  }
  for (int r = 0; r < 4; ++r) {
    if (row0 + ty + r >= count) break;
    float* y = p.y + int64_t{row(row0 + ty + r)} * p.n;
    for (int o = 0; o < 4; ++o)
      if (col0 + tx + o < p.n) y[col0 + tx + o] = sum[r][o];
  }
}

unsigned groups(int64_t n, int64_t of) { return static_cast<unsigned>((n + of - 1) / of); }

template <class W>
void launch_thin(const Product& p, cudaStream_t stream) {
  const unsigned outputs = groups(p.n, thin_warps), m = static_cast<unsigned>(p.m);
  if (p.experts || m == 1) thin<W, 1><<<dim3(outputs, m), 32 * thin_warps, 0, stream>>>(p);
  else if (m == 2) thin<W, 2><<<dim3(outputs, 1), 32 * thin_warps, 0, stream>>>(p);
  else if (m <= 4) thin<W, 4><<<dim3(outputs, 1), 32 * thin_warps, 0, stream>>>(p);
  else thin<W, thin_rows><<<dim3(outputs, 1), 32 * thin_warps, 0, stream>>>(p);
}

template <class Read>
void launch_tiled(const Product& p, int experts, cudaStream_t stream) {
  tiled<Read>
      <<<dim3(groups(p.n, side), groups(p.m, side), static_cast<unsigned>(experts)), threads, 0, stream>>>(p);
}

}  // namespace

Weight Cuda::weight(const Matrix& m) const { return {m.data, nullptr, m.format, m.rows, m.cols}; }

Weight Cuda::weight(int l, MlpPart part) {
  const int which = part == &Mlp::gate ? 0 : part == &Mlp::up ? 1 : 2;
  const std::vector<Mlp>& experts = layer(l).experts;
  const void**& table = expert_tables_[static_cast<size_t>(l * 3 + which)];
  if (!table) {
    std::vector<const void*> pointers;
    for (const Mlp& e : experts) pointers.push_back((e.*part).data);
    table = static_cast<const void**>(
        take_memory(In::device, pointers.size() * sizeof(void*), "tables of the model"));
    upload(table, pointers.data(), pointers.size() * sizeof(void*));
  }
  const Matrix& m = experts[0].*part;
  return {nullptr, table, m.format, m.rows, m.cols, &experts, part};
}

void Cuda::multiply(const Weight& weight, const float* x, float* y, int m, const int32_t* choice) {
  const int group = group_of(weight.format), slots = choice ? m / c.topk : m;
  if (slots <= thin_rows && group > 0 && linear_fits(weight.rows, weight.cols)) {
    Linear l;
    l.x = x;
    l.cols = static_cast<int>(weight.cols);
    l.w[0] = Matrix{weight.data, weight.rows, weight.cols, weight.format};
    l.y[0] = y;
    l.count = 1;
    l.experts = weight.experts;
    l.choice = choice;
    launch_linear(l, group, m, false, stream_);
    return;
  }
  if (slots > thin_rows && wide_ok(weight)) {
    if (choice) multiply_experts_wide(weight, x, y, m);
    else multiply_wide(weight, x, y, m);
    return;
  }
  const Product p{weight.data, weight.experts, choice, begin_, a.slots, x, y, m, weight.rows, weight.cols};
  const int experts = choice ? c.experts : 1;
  if (slots <= thin_rows && group == 0) {
    if (weight.format == Format::f32) launch_thin<float>(p, stream_);
    else launch_thin<uint16_t>(p, stream_);
  } else {
    switch (weight.format) {
      case Format::f32:
        launch_tiled<Plain<float>>(p, experts, stream_);
        break;
      case Format::bf16:
        launch_tiled<Plain<uint16_t>>(p, experts, stream_);
        break;
      case Format::int4_32:
        launch_tiled<Grouped<32>>(p, experts, stream_);
        break;
      case Format::int4_64:
        launch_tiled<Grouped<64>>(p, experts, stream_);
        break;
      case Format::int4_128:
        launch_tiled<Grouped<128>>(p, experts, stream_);
        break;
    }
  }
  launched("product");
}

}  // namespace moescope::cuda
