// Weights into panels and back. Serves loading (once per weight, any strides) and inspection; bound by
// memory.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/number.h"
#include "kernels.h"
#include "pack_int4.h"

namespace moescope::kernels {
namespace {

inline float read(const void* data, SourceType type, int64_t i) {
  if (type == SourceType::f32) {
    float v;
    std::memcpy(&v, static_cast<const char*>(data) + i * 4, 4);
    return v;
  }
  uint16_t v;
  std::memcpy(&v, static_cast<const char*>(data) + i * 2, 2);
  return type == SourceType::bf16 ? from_bf16(v) : from_f16(v);
}

/** Where column j of a panel lies among the 32 bf16 values of one k: j in the low half of word j, j + 16 in
 * the high half. */
constexpr int bf16_place(int j) { return j < 16 ? 2 * j : 2 * (j - 16) + 1; }

}  // namespace

int64_t pack(void* dst, Format format, int64_t n, int64_t k, const Source& src, int64_t panel_begin,
             int64_t panel_end) {
  // Along k in blocks, so that an out-major source is read in lines and the panel is written while it is in
  // the cache.
  constexpr int64_t block = int4_block;
  int64_t bad = 0;
  float rows[panel_rows][block];
  for (int64_t p = panel_begin; p < panel_end; ++p) {
    const int64_t first = p * panel_rows, live = std::min(panel_rows, n - first);
    for (int64_t k0 = 0; k0 < k; k0 += block) {
      const int64_t width = std::min(block, k - k0);
      const auto at = [&](int64_t r, int64_t c) {
        return (first + r) * src.row_stride + (k0 + c) * src.col_stride;
      };
      if (src.col_stride == 1)
        for (int64_t r = 0; r < live; ++r)
          for (int64_t c = 0; c < width; ++c) rows[r][c] = read(src.data, src.type, at(r, c));
      else
        for (int64_t c = 0; c < width; ++c)
          for (int64_t r = 0; r < live; ++r) rows[r][c] = read(src.data, src.type, at(r, c));
      if (group_of(format) > 0) {
        bad += store_int4(dst, format, n, k, p, k0, &rows[0][0], live, width);
        continue;
      }
      for (int64_t r = 0; r < live; ++r)
        for (int64_t c = 0; c < width; ++c) bad += !std::isfinite(rows[r][c]);
      for (int64_t r = live; r < panel_rows; ++r) std::fill_n(rows[r], width, 0.f);
      const int64_t base = (p * k + k0) * panel_rows;
      if (format == Format::f32) {
        float* out = static_cast<float*>(dst) + base;
        for (int64_t c = 0; c < width; ++c)
          for (int64_t r = 0; r < panel_rows; ++r) out[c * panel_rows + r] = rows[r][c];
      } else {
        uint16_t* out = static_cast<uint16_t*>(dst) + base;
        for (int64_t c = 0; c < width; ++c)
          for (int64_t r = 0; r < panel_rows; ++r)
            out[c * panel_rows + bf16_place(int(r))] = to_bf16(rows[r][c]);
      }
    }
  }
  return bad;
}

void unpack(float* dst, int64_t dst_stride, const Packed& w, int64_t row_begin, int64_t row_end) {
  if (group_of(w.format) > 0) return load_int4(dst, dst_stride, w, row_begin, row_end);
  for (int64_t r = row_begin; r < row_end; ++r) {
    const int64_t base = r / panel_rows * panel_rows * w.k;
    const int j = static_cast<int>(r % panel_rows);
    float* out = dst + (r - row_begin) * dst_stride;
    if (w.format == Format::f32) {
      const float* in = static_cast<const float*>(w.data) + base + j;
      for (int64_t c = 0; c < w.k; ++c) out[c] = in[c * panel_rows];
    } else {
      const uint16_t* in = static_cast<const uint16_t*>(w.data) + base + bf16_place(j);
      for (int64_t c = 0; c < w.k; ++c) out[c] = from_bf16(in[c * panel_rows]);
    }
  }
}

}  // namespace moescope::kernels
