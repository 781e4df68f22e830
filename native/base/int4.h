// int4: groups of 32, 64 or 128 neighbours of a row share one f16 scale; an element is (code - 8) * scale.
//
// A group's element of largest magnitude takes -8, the first of equals; the others are rounded to nearest,
// ties to even, and end at 7. A group that holds something not finite has a scale that is NaN, so that it
// stays so. Host and device run these same functions, so the same source gives the same bits.
//
// Layout: tiles of 8 rows by 128 columns, those of 8 rows one after the other along the columns; rows and
// columns beyond the matrix are code 8 with scale 0. First all codes, 512 bytes a tile: 16 bytes for each
// (row, quarter t), their word w holding columns 32 w + 8 t + (0 .. 7) of the tile. So a warp reads a tile in
// one load of 16 bytes a lane, and a lane's words fit the operand of `mma.m16n8k16`. Nibble 0, 4, 1, 5, 2, 6,
// 3, 7 of a word is column 0 .. 7: one mask gives two neighbours. Then all scales, [tile][row][group].
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "base/both.h"
#include "base/number.h"

namespace moescope {

struct Int4Layout {
  static constexpr int64_t tile_rows = 8, tile_cols = 128, tile_codes = 512;

  int64_t rows, cols;
  int group;

  MOESCOPE_BOTH constexpr int64_t row_tiles() const { return (rows + tile_rows - 1) / tile_rows; }
  MOESCOPE_BOTH constexpr int64_t col_tiles() const { return (cols + tile_cols - 1) / tile_cols; }
  MOESCOPE_BOTH constexpr int64_t tiles() const { return row_tiles() * col_tiles(); }
  MOESCOPE_BOTH constexpr int64_t tile_of(int64_t r, int64_t c) const {
    return r / tile_rows * col_tiles() + c / tile_cols;
  }
  /** Scales of a tile. */
  MOESCOPE_BOTH constexpr int64_t tile_scales() const { return tile_rows * (tile_cols / group); }
  MOESCOPE_BOTH constexpr size_t code_bytes() const { return static_cast<size_t>(tiles() * tile_codes); }
  MOESCOPE_BOTH constexpr size_t bytes() const {
    return code_bytes() + static_cast<size_t>(tiles() * tile_scales() * 2);
  }

  /** Place of the 32-bit word that holds columns c .. c + 7 of row r; c is a multiple of 8. */
  MOESCOPE_BOTH constexpr int64_t word_at(int64_t r, int64_t c) const {
    const int64_t in_row = c % tile_cols;
    return tile_of(r, c) * (tile_codes / 4) + r % tile_rows * 16 + in_row % 32 / 8 * 4 + in_row / 32;
  }
  /** Place of the scale of (r, c) among the scales. */
  MOESCOPE_BOTH constexpr int64_t scale_at(int64_t r, int64_t c) const {
    return tile_of(r, c) * tile_scales() + r % tile_rows * (tile_cols / group) + c % tile_cols / group;
  }
  /** First bit of column c in its word. */
  MOESCOPE_BOTH static int shift_of(int64_t c) {
    const int j = static_cast<int>(c % 8);
    return 4 * (j / 2 + j % 2 * 4);
  }
};

/** The scale of a group whose element of largest magnitude is `extreme`. */
MOESCOPE_BOTH inline uint16_t int4_scale(float extreme) {
  constexpr float most = 65504;  // f16's largest
  const float scale = extreme / -8.0f;
  if (scale > most && scale <= 3.4028234e38f) return to_f16(most);
  if (scale < -most && scale >= -3.4028234e38f) return to_f16(-most);
  return to_f16(scale);
}

MOESCOPE_BOTH inline uint32_t int4_code(float x, uint16_t scale) {
  const float s = from_f16(scale);
  if (s == 0) return 8;
  const float q = ::rintf(x / s);
  if (!(q == q)) return 8;
  return static_cast<uint32_t>((q < -8 ? -8 : q > 7 ? 7 : static_cast<int>(q)) + 8);
}

/** Element (r, c); `data` is the whole matrix. */
MOESCOPE_BOTH inline float int4_element(const void* data, const Int4Layout& at, int64_t r, int64_t c) {
  const uint32_t word = static_cast<const uint32_t*>(data)[at.word_at(r, c / 8 * 8)];
  const uint16_t* scales =
      reinterpret_cast<const uint16_t*>(static_cast<const std::byte*>(data) + at.code_bytes());
  const int code = static_cast<int>(word >> Int4Layout::shift_of(c) & 15u);
  return static_cast<float>(code - 8) * from_f16(scales[at.scale_at(r, c)]);
}

/** Fills the group that begins at column c0 of row r from `read(c)`, and touches no other; returns how many
 * of its elements are not finite. */
template <class Read>
MOESCOPE_BOTH inline int64_t int4_store_group(void* data, const Int4Layout& at, int64_t r, int64_t c0,
                                              Read read) {
  uint32_t* words = static_cast<uint32_t*>(data);
  uint16_t* scales = reinterpret_cast<uint16_t*>(static_cast<std::byte*>(data) + at.code_bytes());
  int64_t bad = 0;
  float extreme = 0;
  const int64_t end = r >= at.rows ? c0 : c0 + at.group < at.cols ? c0 + at.group : at.cols;
  for (int64_t c = c0; c < end; ++c) {
    const float x = read(c), size = ::fabsf(x);
    if (!(size <= 3.4028234e38f)) ++bad;
    if (size > ::fabsf(extreme)) extreme = x;
  }
  const uint16_t scale = bad ? uint16_t{0x7e00} : int4_scale(extreme);
  scales[at.scale_at(r, c0)] = scale;
  for (int64_t c = c0; c < c0 + at.group; c += 8) {
    uint32_t word = 0;
    for (int64_t j = c; j < c + 8; ++j)
      word |= (j < end ? int4_code(read(j), scale) : 8u) << Int4Layout::shift_of(j);
    words[at.word_at(r, c)] = word;
  }
  return bad;
}

}  // namespace moescope
