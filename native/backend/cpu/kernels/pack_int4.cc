// The rounding is that of `base/int4.h`, done in a tile of its own layout: what is stored here has the same
// bits in another order.
#include "pack_int4.h"

#include "base/int4.h"

namespace moescope::kernels {
namespace {

/** What a panel holds of 128 k. */
struct Block {
  int64_t rows;  // of the panel, as stored
  uint32_t* words;
  uint16_t* scales;

  Block(const void* data, Format f, int64_t n, int64_t k, int64_t p, int64_t k0)
      : rows(int4_panel_rows(n, p)) {
    const int64_t blocks = (k + int4_block - 1) / int4_block;
    std::byte* at = static_cast<std::byte*>(const_cast<void*>(data)) +
                    p * blocks * int4_block_bytes(f, panel_rows) +
                    k0 / int4_block * int4_block_bytes(f, rows);
    words = reinterpret_cast<uint32_t*>(at);
    scales = reinterpret_cast<uint16_t*>(at + rows * 64);
  }
};

}  // namespace

int64_t store_int4(void* dst, Format f, int64_t n, int64_t k, int64_t p, int64_t k0, const float* values,
                   int64_t rows, int64_t width) {
  const Block to(dst, f, n, k, p, k0);
  const int group = group_of(f);
  const Int4Layout layout{panel_rows, int4_block, group};
  alignas(64) std::byte tile[panel_rows * (64 + 256 / 32)];
  const auto* words = reinterpret_cast<const uint32_t*>(tile);
  const auto* scales = reinterpret_cast<const uint16_t*>(tile + layout.code_bytes());
  int64_t bad = 0;
  for (int64_t r = 0; r < to.rows; ++r) {
    const auto read = [&](int64_t c) { return r < rows && c < width ? values[r * int4_block + c] : 0.0f; };
    for (int64_t c = 0; c < int4_block; c += group) {
      bad += int4_store_group(tile, layout, r, c, read);
      to.scales[c / group * to.rows + r] = scales[layout.scale_at(r, c)];
    }
    for (int64_t c = 0; c < int4_block; c += 8) to.words[c / 8 * to.rows + r] = words[layout.word_at(r, c)];
  }
  return bad;
}

void load_int4(float* dst, int64_t dst_stride, const Packed& w, int64_t row_begin, int64_t row_end) {
  const int group = group_of(w.format);
  for (int64_t k0 = 0; k0 < w.k; k0 += int4_block)
    for (int64_t r = row_begin; r < row_end; ++r) {
      const Block from(w.data, w.format, w.n, w.k, r / panel_rows, k0);
      const int64_t row = r % panel_rows, width = w.k - k0 < int4_block ? w.k - k0 : int4_block;
      float* out = dst + (r - row_begin) * dst_stride + k0;
      for (int64_t c = 0; c < width; ++c) {
        const uint32_t code = from.words[c / 8 * from.rows + row] >> Int4Layout::shift_of(c) & 15u;
        out[c] = static_cast<float>(static_cast<int>(code) - 8) *
                 from_f16(from.scales[c / group * from.rows + row]);
      }
    }
}

}  // namespace moescope::kernels
