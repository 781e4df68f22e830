// Products of many rows on the tensor cores: activations and weights in bf16, sums in f32, by cuBLASLt.
//
// int4 is widened first, a piece of a matrix at a time: rows * cols * (9/16 + 2) bytes more, which a tile of
// some thousand rows makes up for. Rows that chose the same expert are gathered, in the order of `group`;
// each expert is one product, so the host must know the counts: it waits for them once a layer, while the
// shared expert runs.
//
// Reached on an H100, 2026-11-28: an 8k prompt through Scout in int4, widening, attention and all, at 261
// TFLOP/s.
#include <algorithm>

#include "backend/cuda/cuda.cuh"
#include "backend/cuda/launch.cuh"

namespace moescope::cuda {
namespace {

constexpr int threads = 256;
/** Elements of int4 that are widened at a time. */
constexpr int64_t piece = int64_t{8192} * 5120;
/** Rows of an expert are counted in so many, so that shapes repeat: what is too much falls into the next
 * expert's place, which is made after it. */
constexpr int64_t row_unit = 64;

__device__ uint32_t pair_of(float a, float b) { return uint32_t{to_bf16(a)} | uint32_t{to_bf16(b)} << 16; }

/** Rows of x, or those that slots name, in bf16. A block a row. */
__global__ void narrow(uint16_t* out, const float* x, const int32_t* slots, int64_t k) {
  const int64_t from = slots ? slots[blockIdx.x] : blockIdx.x;
  x += from * k;
  out += int64_t{blockIdx.x} * k;
  if (k % 4 == 0) {
    for (int64_t i = int64_t{threadIdx.x} * 4; i < k; i += threads * 4) {
      const float4 v = *reinterpret_cast<const float4*>(x + i);
      *reinterpret_cast<uint2*>(out + i) = make_uint2(pair_of(v.x, v.y), pair_of(v.z, v.w));
    }
  } else {
    for (int64_t i = threadIdx.x; i < k; i += threads) out[i] = to_bf16(x[i]);
  }
}

__global__ void scatter(float* y, const float* sorted, const int32_t* slots, int64_t n) {
  y += int64_t{slots[blockIdx.x]} * n;
  sorted += int64_t{blockIdx.x} * n;
  for (int64_t i = threadIdx.x; i < n; i += threads) y[i] = sorted[i];
}

/** Rows [begin, end) of an int4 matrix as bf16, row by row; a thread eight columns. */
template <int G>
__global__ void widen(uint16_t* out, const std::byte* matrix, int64_t rows, int64_t cols, int64_t begin,
                      int64_t end) {
  const Int4Layout at{rows, cols, G};
  const uint32_t* words = reinterpret_cast<const uint32_t*>(matrix);
  const uint16_t* scales = reinterpret_cast<const uint16_t*>(matrix + at.code_bytes());
  const int64_t eights = (cols + 7) / 8, n = (end - begin) * eights;
  for (int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x; i < n; i += int64_t{gridDim.x} * threads) {
    const int64_t r = begin + i / eights, col = i % eights * 8;
    const uint32_t word = words[at.word_at(r, col)];
    const float scale = from_f16(scales[at.scale_at(r, col)]);
    float v[8];
#pragma unroll
    for (int j = 0; j < 8; ++j)
      v[j] = scale * static_cast<float>(static_cast<int>(word >> Int4Layout::shift_of(j) & 15u) - 8);
    uint16_t* to = out + (r - begin) * cols + col;
    if (cols % 8 == 0)
      *reinterpret_cast<uint4*>(to) =
          make_uint4(pair_of(v[0], v[1]), pair_of(v[2], v[3]), pair_of(v[4], v[5]), pair_of(v[6], v[7]));
    else
      for (int64_t j = 0; j < 8 && col + j < cols; ++j) to[j] = to_bf16(v[j]);
  }
}

}  // namespace

bool Cuda::wide_ok(const Weight& weight) {
  // cuBLASLt wants rows of 16 bytes.
  return fast_ && weight.format != Format::f32 && weight.cols % 8 == 0 && weight.rows % 4 == 0 && lt_.open();
}

/** y [m, rows of w] from rows in bf16. */
void Cuda::multiply_16(const Matrix& matrix, const uint16_t* x, float* y, int m) {
  const int group = group_of(matrix.format);
  const int64_t step = group > 0 ? std::max<int64_t>(8, piece / matrix.cols / 8 * 8) : matrix.rows;
  for (int64_t r = 0; r < matrix.rows; r += step) {
    const int64_t n = std::min(step, matrix.rows - r);
    const uint16_t* w = static_cast<const uint16_t*>(matrix.data) + r * matrix.cols;
    if (group > 0) {
      widened_.reserve(static_cast<size_t>(std::max(piece, 8 * matrix.cols)) * 2, "scratch");
      uint16_t* out = widened_.as<uint16_t>();
      const std::byte* data = static_cast<const std::byte*>(matrix.data);
      const unsigned blocks =
          static_cast<unsigned>(std::min<int64_t>((n * matrix.cols / 8 + threads) / threads, 1 << 16));
      by_group(group, [&](auto g) {
        widen<g><<<blocks, threads, 0, stream_>>>(out, data, matrix.rows, matrix.cols, r, r + n);
      });
      launched("widen");
      w = out;
    }
    if (!lt_.multiply(w, x, y + r, m, n, matrix.cols, matrix.rows, stream_)) {
      // A device that is lost refuses everything: then that is what is told.
      check(cudaStreamSynchronize(stream_), "product");
      fail(Code::device, "product",
           "cuBLASLt refuses a product of " + std::to_string(m) + " x " + std::to_string(n) + " x " +
               std::to_string(matrix.cols) + "; MOESCOPE_CUBLASLT=off does without it");
    }
  }
}

void Cuda::multiply_wide(const Weight& weight, const float* x, float* y, int m) {
  x16_.reserve(static_cast<size_t>(m * weight.cols) * 2, "scratch");
  narrow<<<static_cast<unsigned>(m), threads, 0, stream_>>>(x16_.as<uint16_t>(), x, nullptr, weight.cols);
  launched("narrow");
  multiply_16({weight.data, weight.rows, weight.cols, weight.format}, x16_.as<uint16_t>(), y, m);
}

/** Asks for the counts of `group`; `multiply_experts_wide` waits for them. */
void Cuda::counts_to_host() {
  const size_t bytes = static_cast<size_t>(c.experts + 1) * sizeof(int32_t);
  counts_.reserve(bytes, "scratch");
  check(cudaMemcpyAsync(counts_.as<int32_t>(), begin_, bytes, cudaMemcpyDeviceToHost, stream_), "counts");
  check(cudaEventRecord(counted_, stream_), "counts");
}

void Cuda::multiply_experts_wide(const Weight& weight, const float* x, float* y, int m) {
  const size_t slots = static_cast<size_t>(m + row_unit);
  x16_.reserve(slots * static_cast<size_t>(weight.cols) * 2, "scratch");
  sorted_.reserve(slots * static_cast<size_t>(weight.rows) * 4, "scratch");
  narrow<<<static_cast<unsigned>(m), threads, 0, stream_>>>(x16_.as<uint16_t>(), x, a.slots, weight.cols);
  launched("narrow");
  check(cudaMemsetAsync(x16_.as<uint16_t>() + m * weight.cols, 0,
                        static_cast<size_t>(row_unit * weight.cols) * 2, stream_),
        "narrow");
  check(cudaEventSynchronize(counted_), "counts");
  const int32_t* begin = counts_.as<int32_t>();
  for (int e = 0; e < c.experts; ++e) {
    const int64_t from = begin[e], count = begin[e + 1] - from;
    if (count == 0) continue;
    const int64_t rows = std::min<int64_t>((count + row_unit - 1) / row_unit * row_unit, m + row_unit - from);
    multiply_16((*weight.mlps)[static_cast<size_t>(e)].*weight.part, x16_.as<uint16_t>() + from * weight.cols,
                sorted_.as<float>() + from * weight.rows, static_cast<int>(rows));
  }
  scatter<<<static_cast<unsigned>(m), threads, 0, stream_>>>(y, sorted_.as<float>(), a.slots, weight.rows);
  launched("scatter");
}

}  // namespace moescope::cuda
