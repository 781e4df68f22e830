// The fast path: the same verbs over the SIMD kernels. A tile goes through each verb as a whole; rows that
// chose the same expert are multiplied together; experts, shared expert, q, k and v share parallel regions.
// What nobody watches is not formed.
//
// Scratch is one block, sized for the tile and reused: a step allocates nothing.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/kernels/kernels.h"
#include "base/error.h"
#include "base/memory.h"
#include "model/logits.h"
#include "taps/watch.h"

namespace moescope::fast {

using kernels::Product;

inline size_t at(int64_t i) { return static_cast<size_t>(i); }
inline kernels::Format kernel_format(Format f) {
  return f == Format::f32       ? kernels::Format::f32
         : f == Format::bf16    ? kernels::Format::bf16
         : f == Format::int4_32 ? kernels::Format::int4_32
         : f == Format::int4_64 ? kernels::Format::int4_64
                                : kernels::Format::int4_128;
}
inline kernels::Packed packed(const Matrix& m) { return {m.data, kernel_format(m.format), m.rows, m.cols}; }
inline const float* vector(const Matrix& m) { return static_cast<const float*>(m.data); }

class Fast final : public Backend {
 public:
  Fast(const Config&, const Weights&, int threads);

  size_t matrix_bytes(Format, int64_t rows, int64_t cols) const override;
  bool plain() const override { return false; }
  int64_t pack_rows() const override { return kernels::panel_rows; }
  int64_t pack(const Matrix&, void* dst, const Source&, int64_t begin, int64_t end) const override;
  void unpack(const Matrix&, float* dst, int64_t begin, int64_t end) const override;

  void reserve(int rows) override;
  size_t scratch_bytes() const override { return scratch_bytes_; }
  int tile_rows() const override;

  void embed(const Step& s) override;
  void qkv(const Step& s, int l) override;
  void attend(const Step& s, int l) override;
  void out(const Step& s, int l) override;
  void route_ffn(const Step& s, int l) override;
  void ffn_down(const Step& s, int l) override;
  void head(const Step& s, const HeadOut& o) override;

  int32_t sample(const float* logits, const Sampling& s, uint64_t n) override {
    return sampler_.draw(logits, c.vocab, s, n);
  }
  int nonfinite_row(const Step& s) const override;
  Site nonfinite_site(const Step&, int l, int r) const override;

 private:
  kernels::Run run(const Step& s) const { return {kernels::Pool::instance(), threads_, s.cancel}; }
  static void done(bool finished) {
    if (!finished) fail(Code::cancelled, "", "stopped before it was done");
  }
  int64_t floats_a_row() const {
    return 3 * c.d + 2 * c.q_width() + 2 * c.kv_width() + c.heads * kernels::stat_count + c.experts +
           int64_t{c.topk} * (2 * c.d + 3 * c.ff) + 3 * std::max(c.ff, c.ff_dense) + 2 * c.head_dim + 64;
  }
  void all_rows(const Step& s, const Watch& watch, float* x, int64_t width) const {
    for (int r = 0; watch && r < s.rows; ++r) watch.row(r, x + r * width);
  }
  /** Rows of [rows, topk, width]. */
  void all_slots(const Step& s, const Watch& watch, float* x, int64_t width) const {
    for (int r = 0; watch && r < s.rows; ++r) watch.row(r, x + r * c.topk * width, choice_ + r * c.topk);
  }

  void positions(const Step& s);
  void append(const Segment& seg, int l);
  int joined(const Step& s, int l, int g) const;
  void moe_up(const Step& s, int l);
  void dense_up(const Step& s, int l);
  void group(const Step& s);
  void experts_up(const Step& s, int l);
  /** `x` is [rows] or, with `in_slots`, [rows * topk]; adds one product an expert that was chosen. */
  void expert_products(int l, Matrix Mlp::* matrix, Matrix Mlp::* up, const float* x, int64_t width,
                       bool in_slots, float* y, int64_t y_width);

  const Config& c;
  const Weights& w;
  const kernels::Kernels& kernel;
  const int threads_;
  const float scale_;
  bool angles_in_chunk_ = false, angles_global_ = false;

  int rows_ = 0;
  int64_t head_rows_ = 0;
  Block block_, logits_block_;
  std::atomic<size_t> scratch_bytes_{0};

  // [rows, ...] each, in `block_`.
  float *x_, *n_, *out_, *q_, *k_, *v_, *z_, *stats_, *logit_, *score_, *temperature_;
  float *in_, *gate_, *up_, *act_, *each_, *shared_, *cos_, *sin_, *cos_global_, *sin_global_;
  int32_t *choice_, *lo_, *hi_;
  // Rows by expert: slots_[i] = row * topk + slot, rows_of_[i] = row, scale_of_[i] = score; expert e has
  // [begin_[e], begin_[e + 1]).
  int32_t *slots_, *rows_of_;
  float* scale_of_;
  std::vector<int32_t> begin_;
  std::vector<Product> products_;
  Sampler sampler_;
};

}  // namespace moescope::fast
