// The frame of the fast path: its layouts, its scratch, the embedding and the head.
#include "backend/cpu/fast.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "backend/cpu/plain_store.h"
#include "model/positional.h"

namespace moescope {
namespace fast {
namespace {

/** Logits of prefill are formed in blocks of rows: so many bytes that they are still in a cache when their
 * statistics are made, but enough rows that reading the weights again for each block costs nothing, within a
 * bound. */
constexpr int64_t logits_bytes = int64_t{2} << 20, logits_rows = 128, logits_bound = int64_t{64} << 20;
/** Activations of a prefill tile take at most about this many bytes. */
constexpr int64_t tile_bytes = int64_t{96} << 20;

bool finite(const float* x, int64_t n) {
  int bad = 0;  // without a way out, so that it becomes vector code
  for (int64_t i = 0; i < n; ++i) bad |= !(std::fabs(x[i]) <= std::numeric_limits<float>::max());
  return !bad;
}

}  // namespace

Fast::Fast(const Config& config, const Weights& weights, int threads)
    : c(config),
      w(weights),
      kernel(kernels::kernels()),
      threads_(threads > 0 ? threads : kernels::Pool::cores()),
      scale_(static_cast<float>(1.0 / std::sqrt(static_cast<double>(c.head_dim)))) {
  for (int l = 0; l < c.layer_count(); ++l)
    if (c.layers[at(l)].rope) (c.chunks(l) ? angles_in_chunk_ : angles_global_) = true;
  // "hf" angles do not depend on the chunk.
  if (c.rope == Rope::hf && angles_in_chunk_) angles_global_ = false;
}

size_t Fast::matrix_bytes(Format f, int64_t rows, int64_t cols) const {
  return kernels::packed_bytes(kernel_format(f), rows, cols);
}

int64_t Fast::pack(const Matrix& m, void* dst, const Source& s, int64_t begin, int64_t end) const {
  const kernels::SourceType type = s.type == SourceType::f32    ? kernels::SourceType::f32
                                   : s.type == SourceType::bf16 ? kernels::SourceType::bf16
                                                                : kernels::SourceType::f16;
  return kernels::pack(dst, kernel_format(m.format), m.rows, m.cols,
                       {s.data, type, s.row_stride, s.col_stride}, begin / kernels::panel_rows,
                       kernels::panels(end));
}

void Fast::unpack(const Matrix& m, float* dst, int64_t begin, int64_t end) const {
  if (m.packed) kernels::unpack(dst, m.cols, packed(m), begin, end);
  else load_rows(m, dst, begin, end);
}

int Fast::tile_rows() const {
  const int64_t rows = tile_bytes / (4 * floats_a_row());
  return static_cast<int>(std::clamp<int64_t>(rows / 64 * 64, 64, 1024));
}

void Fast::reserve(int rows) {
  if (rows <= rows_) return;
  const int64_t wide = std::max(int64_t{c.topk} * c.ff, int64_t{c.ff_dense});
  const int64_t half = c.head_dim / 2, slots = int64_t{c.topk};
  // Twice over the same list: once to count, once to place.
  int64_t total = 0;
  float* base = nullptr;
  const auto place = [&](auto*& p, int64_t width) {
    p = base ? reinterpret_cast<std::remove_reference_t<decltype(p)>>(base + total) : nullptr;
    total += (rows * width + 15) / 16 * 16;
  };
  const auto all = [&] {
    total = 0;
    place(x_, c.d);
    place(n_, c.d);
    place(out_, c.d);
    place(q_, c.q_width());
    place(z_, c.q_width());
    place(k_, c.kv_width());
    place(v_, c.kv_width());
    place(stats_, c.heads * kernels::stat_count);
    place(logit_, c.experts);
    place(score_, slots);
    place(temperature_, 1);
    place(in_, slots * c.d);
    place(each_, slots * c.d);
    place(gate_, wide);
    place(up_, wide);
    place(act_, wide);
    place(shared_, c.ff);
    place(cos_, half);
    place(sin_, half);
    place(cos_global_, half);
    place(sin_global_, half);
    place(choice_, slots);
    place(slots_, slots);
    place(rows_of_, slots);
    place(scale_of_, slots);
    place(lo_, 1);
    place(hi_, 1);
  };
  all();
  block_ = Block(sizeof(float) * at(total), "scratch", Contents::any);
  base = block_.as<float>();
  all();
  begin_.resize(at(c.experts + 2));
  products_.reserve(at(c.experts + 1) * 2);
  rows_ = rows;
  const int64_t row_bytes = 4 * int64_t{c.vocab};
  head_rows_ = std::max(logits_bytes / row_bytes, std::min(logits_rows, logits_bound / row_bytes));
  head_rows_ = std::clamp<int64_t>(head_rows_, 1, rows);
  logits_block_ = Block(sizeof(float) * at(head_rows_ * c.vocab), "scratch", Contents::any);
  scratch_bytes_ = block_.bytes() + logits_block_.bytes();
}

void Fast::embed(const Step& s) {
  for (int r = 0; r < s.rows; ++r) {
    float* x = x_ + int64_t{r} * c.d;
    if (s.embeds && s.embeds[r]) std::memcpy(x, s.embeds[r], sizeof(float) * at(c.d));
    else unpack(w.embed, x, s.ids[r], s.ids[r] + 1);
  }
  all_rows(s, Watch(s, c, Site::embed, -1), x_, c.d);
  positions(s);
}

/** Angles are the same in every layer. */
void Fast::positions(const Step& s) {
  const int64_t half = c.head_dim / 2;
  for (int r = 0; r < s.rows; ++r) {
    if (angles_in_chunk_) rope_angles(c, s.positions[r], true, cos_ + r * half, sin_ + r * half);
    if (angles_global_) rope_angles(c, s.positions[r], false, cos_global_ + r * half, sin_global_ + r * half);
  }
}

void Fast::head(const Step& s, const HeadOut& o) {
  done(kernel.rmsnorm(run(s), n_, c.d, x_, c.d, vector(w.final_norm), c.eps, s.rows, c.d));
  all_rows(s, Watch(s, c, Site::final_norm, -1), n_, c.d);
  const Watch watch(s, c, Site::logits, -1);
  float* logits = logits_block_.as<float>();
  for (int64_t from = 0; from < s.rows; from += head_rows_) {
    const int64_t rows = std::min<int64_t>(head_rows_, s.rows - from);
    const Product p{.w = packed(c.tied_embeddings ? w.embed : w.unembed),
                    .m = rows,
                    .x = n_ + from * c.d,
                    .x_stride = c.d,
                    .y = logits,
                    .y_stride = c.vocab};
    done(kernel.matmul(run(s), &p, 1));
    for (int64_t r = 0; watch && r < rows; ++r) watch.row(static_cast<int>(from + r), logits + r * c.vocab);
    const auto at_row = [from](auto* p) { return p ? p + from : p; };
    kernels::LogitStats stats;
    stats.target = at_row(o.target);
    stats.logprob = at_row(o.logprob);
    stats.rank = at_row(o.rank);
    stats.lse = at_row(o.lse);
    stats.entropy = at_row(o.entropy);
    done(kernel.logit_stats(run(s), logits, c.vocab, rows, c.vocab, stats));
    for (int64_t r = 0; o.keep && r < rows; ++r)
      if (o.keep[from + r]) std::memcpy(o.keep[from + r], logits + r * c.vocab, sizeof(float) * at(c.vocab));
  }
}

int Fast::nonfinite_row(const Step& s) const {
  for (int r = 0; r < s.rows; ++r)
    if (!finite(x_ + int64_t{r} * c.d, c.d)) return r;
  return -1;
}

Site Fast::nonfinite_site(const Step&, int l, int r) const {
  const auto bad = [r](const float* x, int64_t width) { return !finite(x + r * width, width); };
  const bool moe = c.layers[at(l)].moe;
  if (bad(q_, c.q_width())) return Site::attn_q;
  if (bad(k_, c.kv_width())) return Site::attn_k;
  if (bad(v_, c.kv_width())) return Site::attn_v;
  if (bad(z_, c.q_width())) return Site::attn_z;
  if (bad(n_, c.d)) return Site::resid_mid;
  if (moe && bad(logit_, c.experts)) return Site::router_logits;
  if (moe ? bad(act_, c.topk * c.ff) : bad(act_, c.ff_dense)) return moe ? Site::expert_act : Site::mlp_act;
  if (moe && bad(shared_, c.ff)) return Site::shared_act;
  if (bad(out_, c.d)) return Site::ffn_out;
  return Site::resid_post;
}

}  // namespace fast

std::unique_ptr<Backend> fast_cpu(const Config& c, const Weights& w, int threads) {
  return std::make_unique<fast::Fast>(c, w, threads);
}

}  // namespace moescope
