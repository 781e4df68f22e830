// The heart of decode: int4 weights pass once through shared memory into the tensor cores, and meet one row.
//
// A unit is two streams of 8 rows each, advancing 128 columns a step (`base/int4.h`: a tile): the two halves
// of the same rows, gate and up, or a shared and a routed matrix. They are the rows 0-7 and 8-15 of
// `mma.m16n8k16`. The row x stands in the operand's columns as two f16 halves, x = high + low, 0 and 1 for
// the first stream, 2 and 3 for the second: codes and halves are exact, products are summed in f32, and a
// group's sum is multiplied by its scale. So the result is that of f32 activations within 2^-22.
//
// Each warp copies its tiles by itself, `stages` steps ahead and across units, so memory never waits for
// arithmetic: 64 KB a multiprocessor are on their way.
#pragma once

#include <cuda_fp16.h>

#include "backend/cuda/reduce.cuh"
#include "base/int4.h"
#include "model/weights.h"

namespace moescope::cuda {

constexpr int stream_warps = 32, stream_threads = 32 * stream_warps;
/** Steps that are on their way or worked on; what shared memory has room for. */
#if defined(MOESCOPE_STREAM_STAGES)
constexpr int stream_stages = MOESCOPE_STREAM_STAGES;
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
constexpr int stream_stages = 2;
#else
constexpr int stream_stages = 4;
#endif

/** A group's codes come in one step; its scales follow from the format. */
template <int G>
struct StreamTile {
  static constexpr int groups = 128 / G, codes = 512, scales = 16 * groups;
  static constexpr int stage = 2 * (codes + scales);
  /** Of device code: it depends on what that is compiled for. */
  static constexpr int ring = stream_warps * stream_stages * stage;
};

/** An int4 matrix: its tiles by eight rows. */
struct Int4 {
  const std::byte *codes = nullptr, *scales = nullptr;
  int rows = 0, row_tiles = 0, col_tiles = 0;

  Int4() = default;
  Int4(const Matrix& m)
      : Int4(m.data, static_cast<int>(m.rows), static_cast<int>((m.rows + 7) / 8),
             static_cast<int>((m.cols + 127) / 128)) {}
  __host__ __device__ Int4(const void* data, int n, int row_count, int col_count)
      : codes(static_cast<const std::byte*>(data)),
        scales(codes + int64_t{row_count} * col_count * Int4Layout::tile_codes),
        rows(n),
        row_tiles(row_count),
        col_tiles(col_count) {}
  /** Another matrix of the same shape. */
  __device__ Int4 at(const void* data) const { return {data, rows, row_tiles, col_tiles}; }
};

/** Eight rows, from some column tile on. */
struct Rows8 {
  const std::byte *codes, *scales;
  int tiles;
};
template <int G>
__device__ Rows8 rows8(const Int4& m, int row_tile, int first, int tiles) {
  const int at = row_tile * m.col_tiles + first;
  return {m.codes + int64_t{at} * StreamTile<G>::codes, m.scales + int64_t{at} * StreamTile<G>::scales,
          tiles};
}

__device__ inline void copy16(void* shared, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                   static_cast<unsigned>(__cvta_generic_to_shared(shared))),
               "l"(global));
}
__device__ inline void copies_begin() { asm volatile("cp.async.commit_group;"); }
template <int pending>
__device__ void copies_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending));
}

/** Waits for the kernel before this one; what does not depend on it may be done before. */
__device__ inline void after_predecessor() {
#if __CUDA_ARCH__ >= 900
  cudaGridDependencySynchronize();
#endif
}
/** Lets the next kernel begin with what does not depend on this one. */
__device__ inline void let_successor_begin() {
#if __CUDA_ARCH__ >= 900
  cudaTriggerProgrammaticLaunchCompletion();
#endif
}

/** (x & mask) | bits in one instruction. */
__device__ inline uint32_t and_or(uint32_t x, uint32_t mask, uint32_t bits) {
  uint32_t out;
  asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(out) : "r"(x), "r"(mask), "r"(bits));
  return out;
}

/** Eight codes as four pairs of f16. */
__device__ inline void codes_to_f16(uint32_t word, uint32_t (&out)[4]) {
  constexpr uint32_t k1024 = 0x64006400;  // a code in the last bits of 1024, or 16 codes
  const __half2 low = __halves2half2(__ushort_as_half(0x6408), __ushort_as_half(0x6408)),  // 1032
      sixteenth = __halves2half2(__ushort_as_half(0x2c00), __ushort_as_half(0x2c00)),      // 1/16
      high = __halves2half2(__ushort_as_half(0xd480), __ushort_as_half(0xd480));           // -72
#pragma unroll
  for (int i = 0; i < 2; ++i, word >>= 8) {
    const uint32_t a = and_or(word, 0x000f000fu, k1024), b = and_or(word, 0x00f000f0u, k1024);
    const __half2 x = __hsub2(*reinterpret_cast<const __half2*>(&a), low);
    const __half2 y = __hfma2(*reinterpret_cast<const __half2*>(&b), sixteenth, high);
    out[2 * i] = *reinterpret_cast<const uint32_t*>(&x);
    out[2 * i + 1] = *reinterpret_cast<const uint32_t*>(&y);
  }
}

/** c = a b, or c += a b. */
template <bool adds>
__device__ void mma_f16(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0,
                        uint32_t b1) {
  if constexpr (adds)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%10,%10,%10,%10};"
        : "=f"(c[0]), "=f"(c[1]), "=f"(c[2]), "=f"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1), "f"(0.0f));
}

/** A row in shared memory as two f16 planes, columns beyond it zero. */
struct Halves {
  __half* high = nullptr;
  int columns = 0;  // a multiple of 128
  /** Between the planes: 64 bytes more than whole lines, so that both are read without conflict. */
  __host__ __device__ static constexpr int pitch(int columns) { return columns + 32; }
  __host__ __device__ static constexpr int bytes(int columns) { return 4 * pitch(columns); }
};

/** Elements of a row that a thread holds: i * stream_threads + its number. */
template <int N>
struct Held {
  float x[N];
  __device__ void load(const float* from, int n) {
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const int at = i * stream_threads + static_cast<int>(threadIdx.x);
      x[i] = at < n ? from[at] : 0.0f;
    }
  }
};

struct SumAndMost {
  float sum, most;
};
/** Over a block: the sum, and the largest. */
__device__ inline SumAndMost block_sum_and_most(float sum, float most) {
  __shared__ float sums[32], mosts[32];
  const auto lanes = [](float& s, float& m) {
    for (int i = 16; i > 0; i /= 2) {
      s += __shfl_xor_sync(all_lanes, s, i);
      m = fmaxf(m, __shfl_xor_sync(all_lanes, m, i));
    }
  };
  lanes(sum, most);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  __syncthreads();
  if (lane == 0) sums[warp] = sum, mosts[warp] = most;
  __syncthreads();
  sum = lane < stream_warps ? sums[lane] : 0.0f;
  most = lane < stream_warps ? mosts[lane] : 0.0f;
  lanes(sum, most);
  return {sum, most};
}

/** The row times a power of two that brings `largest` near 2^12, as halves; returns the inverse. */
template <int N>
__device__ float fill_halves(const Halves& to, const Held<N>& row, float largest) {
  const int exponent = static_cast<int>(__float_as_uint(largest) >> 23) - 127;
  const bool usual = exponent > -100 && exponent < 100;  // nothing, or nothing finite, is left as it is
  const float up = usual ? __uint_as_float(static_cast<unsigned>(127 + 12 - exponent) << 23) : 1.0f;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const int at = i * stream_threads + static_cast<int>(threadIdx.x);
    if (at >= to.columns) break;
    const float v = up * row.x[i];
    const __half high = __float2half_rn(v);
    to.high[at] = high;
    to.high[Halves::pitch(to.columns) + at] = __float2half_rn(v - __half2float(high));
  }
  return 1.0f / up;
}

/** x / sqrt(mean(x^2) + eps) * weight in place, and its largest size. */
template <int N>
__device__ float norm_row(Held<N>& x, const Held<N>& weight, int n, float eps) {
  float squares = 0, largest = 0;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    squares += x.x[i] * x.x[i];
    largest = fmaxf(largest, fabsf(x.x[i] * weight.x[i]));
  }
  const SumAndMost all = block_sum_and_most(squares, largest);
  const float factor = 1.0f / sqrtf(all.sum / static_cast<float>(n) + eps);
#pragma unroll
  for (int i = 0; i < N; ++i) x.x[i] *= factor * weight.x[i];
  return factor * all.most;
}

/**
 * Runs the streams of some units, each cut in `parts` tasks by its steps, shared out over the block's warps;
 * `part[task * 16 + 8 * stream + row]` gets each sum, and must be zero before. `place(unit, stream)` says
 * where a stream's rows lie. Call `begin` before what is not needed for the weights, then `finish`.
 */
template <int G, int parts, class Place>
class Stream {
 public:
  using Tile = StreamTile<G>;

  __device__ Stream(std::byte* ring, int units, int steps, Place place)
      : ring_(ring + static_cast<int>(threadIdx.x) / 32 * (stream_stages * Tile::stage)),
        lane_(static_cast<int>(threadIdx.x) % 32),
        tasks_(units * parts),
        steps_(steps),
        place_(place) {
    next_.task = static_cast<int>(threadIdx.x) / 32 - stream_warps;
    now_ = next_;
  }

  /** Fills the ring with units below `limit`: all that may be read before the predecessor is done. */
  __device__ void begin(int limit) {
    limit_ = limit * parts;
    for (; filled_ < stream_stages - 1 && fetch(filled_); ++filled_) copies_begin();
    limit_ = tasks_;
  }

  /** x(unit, stream): the halves that a stream meets. */
  template <class X>
  __device__ void finish(X x_of, int pitch, float* part) {
    for (; filled_ < stream_stages - 1; ++filled_) {
      fetch(filled_);
      copies_begin();
    }
    const int g = lane_ / 4, t = lane_ % 4;
    uint4 b = make_uint4(0, 0, 0, 0);
    unsigned stage = 0;
    while (advance(now_, tasks_)) {
      // Columns 0 and 1 of the operand meet the first stream, 2 and 3 the second, the others nothing.
      const __half* x = x_of(now_.task / parts, g / 2 % 2) + (g & 1) * pitch + 8 * t + 128 * now_.step;
      float total = 0;
      for (; now_.step < now_.end; ++now_.step, x += 128) {
        copies_wait<stream_stages - 2>();
        // The tile is there, and everyone is done with the one before, whose place is filled again.
        __syncwarp();
        fetch((stage + stream_stages - 1) % stream_stages);
        copies_begin();
        step(ring_ + stage * Tile::stage, x, b, total);
        stage = (stage + 1) % stream_stages;
      }
      if (t < 2) part[now_.task * 16 + 8 * t + g] = total;
    }
    copies_wait<0>();
  }

 private:
  struct Cursor {
    int task = 0, step = 0, end = 0;
  };
  /** To the next task with steps once the last one is done; false: there is none below the limit. */
  __device__ bool advance(Cursor& c, int limit) const {
    while (c.step == c.end) {
      if (c.task + stream_warps >= limit) return false;
      c.task += stream_warps;
      const int q = c.task % parts;
      c.step = steps_ * q / parts;
      c.end = steps_ * (q + 1) / parts;
    }
    return true;
  }

  /** Copies the next step's tiles; false: there is none. Where one stream is shorter its last tile comes
   * again, and meets zeros. */
  __device__ bool fetch(unsigned stage) {
    constexpr int scale_lanes = Tile::scales / 16;  // of a stream
    if (next_.step == next_.end) {
      if (!advance(next_, limit_)) return false;
      const Rows8 first = place_(next_.task / parts, 0), second = place_(next_.task / parts, 1);
      const bool other = lane_ >= scale_lanes;
      codes0_ = first.codes + lane_ * 16;
      codes1_ = second.codes + lane_ * 16;
      scales_ = (other ? second.scales : first.scales) + lane_ % scale_lanes * 16;
      last0_ = first.tiles - 1, last1_ = second.tiles - 1;
      last_ = other ? last1_ : last0_;
    }
    std::byte* to = ring_ + stage * Tile::stage + lane_ * 16;
    copy16(to, codes0_ + int64_t{min(next_.step, last0_)} * Tile::codes);
    copy16(to + Tile::codes, codes1_ + int64_t{min(next_.step, last1_)} * Tile::codes);
    if (lane_ < 2 * scale_lanes)
      copy16(to + 2 * Tile::codes, scales_ + int64_t{min(next_.step, last_)} * Tile::scales);
    ++next_.step;
    return true;
  }

  __device__ void step(const std::byte* tile, const __half* x, uint4& b, float& total) const {
    const int g = lane_ / 4, t = lane_ % 4;
    const uint4 first = *reinterpret_cast<const uint4*>(tile + lane_ * 16),
                second = *reinterpret_cast<const uint4*>(tile + Tile::codes + lane_ * 16);
    // Odd lanes have the sums of the second stream.
    const bool odd = t & 1;
    __half scale[Tile::groups];
    const std::byte* scales = tile + 2 * Tile::codes + (odd ? Tile::scales : 0) +
                              g * Tile::groups * static_cast<int>(sizeof(__half));
    if constexpr (G == 32) *reinterpret_cast<uint2*>(scale) = *reinterpret_cast<const uint2*>(scales);
    else if constexpr (G == 64)
      *reinterpret_cast<uint32_t*>(scale) = *reinterpret_cast<const uint32_t*>(scales);
    else scale[0] = *reinterpret_cast<const __half*>(scales);
    float c[4];
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      if (lane_ < 16) b = *reinterpret_cast<const uint4*>(x + 32 * w);
      uint32_t p[4], q[4];
      codes_to_f16(word(first, w), p);
      codes_to_f16(word(second, w), q);
      if (w % (G / 32) == 0) mma_f16<false>(c, p[0], q[0], p[1], q[1], b.x, b.y);
      else mma_f16<true>(c, p[0], q[0], p[1], q[1], b.x, b.y);
      mma_f16<true>(c, p[2], q[2], p[3], q[3], b.z, b.w);
      if ((w + 1) % (G / 32) == 0)
        total += __half2float(scale[w / (G / 32)]) * ((odd ? c[2] : c[0]) + (odd ? c[3] : c[1]));
    }
  }
  __device__ static uint32_t word(const uint4& v, int w) {
    return w == 0 ? v.x : w == 1 ? v.y : w == 2 ? v.z : v.w;
  }

  std::byte* ring_;
  int lane_, tasks_, steps_, limit_ = 0, filled_ = 0, last0_ = 0, last1_ = 0, last_ = 0;
  Place place_;
  Cursor next_, now_;
  const std::byte *codes0_ = nullptr, *codes1_ = nullptr, *scales_ = nullptr;
};

/** The sum of a unit's parts: row of the first stream, or of the second. */
template <int parts>
__device__ float unit_sum(const float* part, int unit, int stream, int row) {
  float sum = 0;
#pragma unroll
  for (int q = 0; q < parts; ++q) sum += part[(unit * parts + q) * 16 + 8 * stream + row];
  return sum;
}

}  // namespace moescope::cuda
