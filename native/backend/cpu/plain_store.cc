#include "backend/cpu/plain_store.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/int4.h"
#include "base/number.h"

namespace moescope {
namespace {

/** Reads element i of a source; files need not be aligned. */
float read(const std::byte* data, SourceType type, int64_t i) {
  if (type == SourceType::f32) {
    float x;
    std::memcpy(&x, data + i * 4, 4);
    return x;
  }
  uint16_t x;
  std::memcpy(&x, data + i * 2, 2);
  return type == SourceType::bf16 ? from_bf16(x) : from_f16(x);
}

template <class Write>
int64_t copy(int64_t cols, const Source& s, int64_t begin, int64_t end, Write write) {
  int64_t bad = 0;
  // In-major sources are read along their own rows, in strips that stay in the cache.
  constexpr int64_t strip = 32;
  for (int64_t r0 = begin; r0 < end; r0 += strip) {
    const int64_t r1 = r0 + strip < end ? r0 + strip : end;
    const auto one = [&](int64_t r, int64_t c) {
      const float x = read(s.data, s.type, r * s.row_stride + c * s.col_stride);
      bad += !std::isfinite(x);
      write(r * cols + c, x);
    };
    if (s.col_stride == 1) {
      for (int64_t r = r0; r < r1; ++r)
        for (int64_t c = 0; c < cols; ++c) one(r, c);
    } else {
      for (int64_t c = 0; c < cols; ++c)
        for (int64_t r = r0; r < r1; ++r) one(r, c);
    }
  }
  return bad;
}

/** Groups share no byte, so that rows may be shared out in any way; whoever has the last row fills what its
 * tile has below it. */
int64_t store_int4(const Matrix& m, void* dst, const Source& s, int64_t begin, int64_t end) {
  const Int4Layout at{m.rows, m.cols, group_of(m.format)};
  constexpr int64_t strip = 32, block = Int4Layout::tile_cols;
  float values[strip][block];
  int64_t bad = 0;
  for (int64_t r0 = begin; r0 < end; r0 += strip) {
    const int64_t rows = std::min(strip, end - r0);
    for (int64_t c0 = 0; c0 < m.cols; c0 += block) {
      const int64_t cols = std::min(block, m.cols - c0);
      const auto one = [&](int64_t r, int64_t c) {
        values[r][c] = read(s.data, s.type, (r0 + r) * s.row_stride + (c0 + c) * s.col_stride);
      };
      if (s.col_stride == 1) {
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t c = 0; c < cols; ++c) one(r, c);
      } else {
        for (int64_t c = 0; c < cols; ++c)
          for (int64_t r = 0; r < rows; ++r) one(r, c);
      }
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t g = 0; g < block; g += at.group)
          bad += int4_store_group(dst, at, r0 + r, c0 + g, [&](int64_t c) { return values[r][c - c0]; });
    }
  }
  if (end == m.rows)
    for (int64_t r = end; r < at.row_tiles() * Int4Layout::tile_rows; ++r)
      for (int64_t c = 0; c < at.col_tiles() * block; c += at.group)
        int4_store_group(dst, at, r, c, [](int64_t) { return 0.0f; });
  return bad;
}

void load_int4(const Matrix& m, float* dst, int64_t begin, int64_t end) {
  const Int4Layout at{m.rows, m.cols, group_of(m.format)};
  const uint32_t* words = static_cast<const uint32_t*>(m.data);
  const uint16_t* scales =
      reinterpret_cast<const uint16_t*>(static_cast<const std::byte*>(m.data) + at.code_bytes());
  for (int64_t r = begin; r < end; ++r, dst += m.cols)
    for (int64_t c0 = 0; c0 < m.cols; c0 += 8) {
      const uint32_t word = words[at.word_at(r, c0)];
      const float scale = from_f16(scales[at.scale_at(r, c0)]);
      float eight[8];
      for (int j = 0; j < 8; ++j)
        eight[j] = static_cast<float>(static_cast<int>(word >> Int4Layout::shift_of(j) & 15u) - 8) * scale;
      std::copy_n(eight, std::min<int64_t>(8, m.cols - c0), dst + c0);
    }
}

}  // namespace

int64_t store_rows(const Matrix& m, void* dst, const Source& s, int64_t begin, int64_t end) {
  if (group_of(m.format) > 0) return store_int4(m, dst, s, begin, end);
  if (m.format == Format::f32)
    return copy(m.cols, s, begin, end, [out = static_cast<float*>(dst)](int64_t i, float x) { out[i] = x; });
  return copy(m.cols, s, begin, end,
              [out = static_cast<uint16_t*>(dst)](int64_t i, float x) { out[i] = to_bf16(x); });
}

int64_t count_nonfinite(const Source& s, int64_t cols, int64_t begin, int64_t end) {
  return copy(cols, s, begin, end, [](int64_t, float) {});
}

void load_rows(const Matrix& m, float* dst, int64_t begin, int64_t end) {
  if (group_of(m.format) > 0) return load_int4(m, dst, begin, end);
  const int64_t from = begin * m.cols, count = (end - begin) * m.cols;
  if (m.format == Format::f32) {
    std::memcpy(dst, static_cast<const float*>(m.data) + from, sizeof(float) * static_cast<size_t>(count));
    return;
  }
  const uint16_t* x = static_cast<const uint16_t*>(m.data) + from;
  for (int64_t i = 0; i < count; ++i) dst[i] = from_bf16(x[i]);
}

}  // namespace moescope
