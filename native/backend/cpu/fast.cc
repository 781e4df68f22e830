// The fast path: the same verbs over the SIMD kernels. A tile goes through each verb as a whole; rows that
// chose the same expert are multiplied together; experts, shared expert, q, k and v share parallel regions.
// What nobody watches is not formed.
//
// Scratch is one block, sized for the tile and reused: a step allocates nothing.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/plain_store.h"
#include "backend/cpu/route.h"
#include "backend/cpu/temperature.h"
#include "base/error.h"
#include "model/logits.h"
#include "taps/watch.h"

namespace moescope {
namespace {

using kernels::Product;

/** Logits of prefill are formed in blocks of rows: so many bytes that they are still in a cache when their
 * statistics are made, but enough rows that reading the weights again for each block costs nothing, within a
 * bound. */
constexpr int64_t logits_bytes = int64_t{2} << 20, logits_rows = 128, logits_bound = int64_t{64} << 20;
/** Activations of a prefill tile take at most about this many bytes. */
constexpr int64_t tile_bytes = int64_t{96} << 20;

size_t at(int64_t i) { return static_cast<size_t>(i); }

kernels::Packed packed(const Matrix& m) {
  return {m.data, m.format == Format::f32 ? kernels::Format::f32 : kernels::Format::bf16, m.rows, m.cols};
}
kernels::Format kernel_format(Format f) {
  return f == Format::f32 ? kernels::Format::f32 : kernels::Format::bf16;
}
const float* vector(const Matrix& m) { return static_cast<const float*>(m.data); }

class Fast final : public Backend {
 public:
  Fast(const Config& config, const Weights& weights, int threads)
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

  size_t matrix_bytes(Format f, int64_t rows, int64_t cols) const override {
    return kernels::packed_bytes(kernel_format(f), rows, cols);
  }
  bool plain() const override { return false; }
  int64_t pack_rows() const override { return kernels::panel_rows; }
  int64_t pack(const Matrix& m, void* dst, const Source& s, int64_t begin, int64_t end) const override {
    const kernels::SourceType type = s.type == SourceType::f32    ? kernels::SourceType::f32
                                     : s.type == SourceType::bf16 ? kernels::SourceType::bf16
                                                                  : kernels::SourceType::f16;
    return kernels::pack(dst, kernel_format(m.format), m.rows, m.cols,
                         {s.data, type, s.row_stride, s.col_stride}, begin / kernels::panel_rows,
                         kernels::panels(end));
  }
  void unpack(const Matrix& m, float* dst, int64_t begin, int64_t end) const override {
    if (m.packed) kernels::unpack(dst, m.cols, packed(m), begin, end);
    else load_rows(m, dst, begin, end);
  }

  void reserve(int rows) override;
  size_t scratch_bytes() const override { return scratch_bytes_; }
  int tile_rows() const override {
    const int64_t rows = tile_bytes / (4 * floats_a_row());
    return static_cast<int>(std::clamp<int64_t>(rows / 64 * 64, 64, 1024));
  }

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
  static bool finite(const float* x, int64_t n) {
    int bad = 0;  // without a way out, so that it becomes vector code
    for (int64_t i = 0; i < n; ++i) bad |= !(std::fabs(x[i]) <= std::numeric_limits<float>::max());
    return !bad;
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

void Fast::qkv(const Step& s, int l) {
  const LayerWeights& layer = w.layers[at(l)];
  const int64_t qw = c.q_width(), kw = c.kv_width();
  all_rows(s, Watch(s, c, Site::resid_pre, l), x_, c.d);
  done(kernel.rmsnorm(run(s), n_, c.d, x_, c.d, vector(layer.norm_attn), c.eps, s.rows, c.d));
  all_rows(s, Watch(s, c, Site::attn_in, l), n_, c.d);

  products_.clear();
  products_.push_back({.w = packed(layer.q), .m = s.rows, .x = n_, .x_stride = c.d, .y = q_, .y_stride = qw});
  products_.push_back({.w = packed(layer.k), .m = s.rows, .x = n_, .x_stride = c.d, .y = k_, .y_stride = kw});
  products_.push_back({.w = packed(layer.v), .m = s.rows, .x = n_, .x_stride = c.d, .y = v_, .y_stride = kw});
  done(kernel.matmul(run(s), products_.data(), 3));
  all_rows(s, Watch(s, c, Site::attn_q, l), q_, qw);
  all_rows(s, Watch(s, c, Site::attn_k, l), k_, kw);
  all_rows(s, Watch(s, c, Site::attn_v, l), v_, kw);

  bool warm = false;
  for (int r = 0; r < s.rows; ++r) {
    temperature_[r] = temperature_of(s, c, l, r);
    warm |= temperature_[r] != 1;
  }
  if (c.layers[at(l)].rope) {
    const bool own = c.rope == Rope::hf || c.chunks(l);
    const float *cos = own && angles_in_chunk_ ? cos_ : cos_global_,
                *sin = own && angles_in_chunk_ ? sin_ : sin_global_;
    const float eps = c.qk_norm ? c.eps : -1;
    done(kernel.heads(run(s), q_, qw, s.rows, c.heads, c.head_dim, cos, sin, eps, nullptr));
    done(kernel.heads(run(s), k_, kw, s.rows, c.kv_heads, c.head_dim, cos, sin, eps, nullptr));
  } else if (warm) {
    done(kernel.heads(run(s), q_, qw, s.rows, c.heads, c.head_dim, nullptr, nullptr, -1, temperature_));
  }
  const Watch temperature(s, c, Site::attn_temperature, l);
  for (int r = 0; temperature && r < s.rows; ++r) temperature.keep(r, temperature_ + r);
  all_rows(s, Watch(s, c, Site::attn_q_used, l), q_, qw);
  all_rows(s, Watch(s, c, Site::attn_k_used, l), k_, kw);
}

/** The segment's keys and values into its cache, head by head. */
void Fast::append(const Segment& seg, int l) {
  const KvLayer& kv = seg.kv[l];
  const int64_t slot = c.chunks(l) ? seg.position % c.chunk : seg.position;
  const size_t bytes = sizeof(float) * at(c.head_dim);
  for (int h = 0; h < c.kv_heads; ++h)
    for (int i = 0; i < seg.count; ++i) {
      const int64_t from = int64_t{seg.row + i} * c.kv_width() + h * c.head_dim;
      const int64_t to = (h * kv.slots + slot + i) * c.head_dim;
      std::memcpy(kv.k + to, k_ + from, bytes);
      std::memcpy(kv.v + to, v_ + from, bytes);
    }
}

/** How many segments from `g` on one call of the kernel can serve. In a global layer, consecutive stretches
 * of one sequence; in a chunked one, segments that begin a chunk, whoever's: their keys are all in the tile.
 */
int Fast::joined(const Step& s, int l, int g) const {
  const bool chunked = c.chunks(l);
  int end = g + 1;
  for (; end < s.segment_count; ++end) {
    const Segment &a = s.segments[end - 1], &b = s.segments[end];
    const bool follows = chunked ? a.position % c.chunk == 0 && b.position % c.chunk == 0
                                 : a.kv == b.kv && a.position + a.count == b.position;
    if (!follows || a.row + a.count != b.row) break;
  }
  return end - g;
}

void Fast::attend(const Step& s, int l) {
  const Watch summary(s, c, Site::attn_summary, l), pattern(s, c, Site::attn_pattern, l);
  const int64_t qw = c.q_width(), kw = c.kv_width();
  for (int g = 0, count; g < s.segment_count; g += count) {
    count = joined(s, l, g);
    const Segment* segments = s.segments + g;
    const int first = segments->row;
    // Several chunks share the cache's one, so they read their keys where the products left them; else from
    // the cache, whose rows lie closer.
    const bool from_tile = c.chunks(l) && count > 1;
    const int64_t base = c.chunks(l) ? segments->position / c.chunk * c.chunk : 0;  // position of slot 0
    int rows = 0;
    for (int i = 0; i < count; ++i) {
      const Segment& seg = segments[i];
      if (!from_tile) append(seg, l);
      for (int j = 0; j < seg.count; ++j, ++rows) {
        lo_[rows] = from_tile ? seg.row - first : 0;
        hi_[rows] = from_tile ? rows + 1 : static_cast<int32_t>(seg.position + j - base + 1);
      }
    }
    const KvLayer& kv = segments->kv[l];
    kernels::Attention a;
    a.rows = rows;
    a.heads = c.heads;
    a.kv_heads = c.kv_heads;
    a.head_dim = c.head_dim;
    a.scale = scale_;
    a.q = q_ + first * qw;
    a.q_stride = qw;
    a.out = z_ + first * qw;
    a.out_stride = qw;
    a.k = from_tile ? k_ + first * kw : kv.k;
    a.v = from_tile ? v_ + first * kw : kv.v;
    a.k_stride = a.v_stride = from_tile ? kw : c.head_dim;
    a.k_head_stride = a.v_head_stride = from_tile ? c.head_dim : kv.slots * c.head_dim;
    a.lo = lo_;
    a.hi = hi_;
    a.stats = summary ? stats_ + int64_t{first} * c.heads * kernels::stat_count : nullptr;
    a.temperature = temperature_ + first;
    done(kernel.attention(run(s), a));
    // From the kernel's key to the position: the row sees itself last.
    for (int64_t i = 0; summary && i < int64_t{rows} * c.heads; ++i) {
      const int64_t row = i / c.heads;
      a.stats[i * kernels::stat_count + kernels::stat_argmax] +=
          static_cast<float>(s.positions[first + row] - (hi_[row] - 1));
    }
    for (const Tap* t = pattern ? s.at(Site::attn_pattern, l).taps : nullptr; t; t = t->next)
      for (int i = 0; i < rows; ++i) {
        if (t->to[first + i] < 0) continue;
        float* to = t->pattern[t->to[first + i]];
        for (int h = 0; h < c.heads; ++h) {
          if (t->heads && !t->heads[h]) continue;
          kernel.attention_weights(a, i, h, to);
          to += hi_[i] - lo_[i];
        }
      }
    for (int i = 0; from_tile && i < count; ++i) append(segments[i], l);
  }
  for (int r = 0; summary && r < s.rows; ++r)
    summary.keep(r, stats_ + int64_t{r} * c.heads * kernels::stat_count);
  all_rows(s, Watch(s, c, Site::attn_z, l), z_, qw);
}

void Fast::out(const Step& s, int l) {
  const Watch out(s, c, Site::attn_out, l);
  const bool straight = !out;  // into the residual stream
  const Product p{.w = packed(w.layers[at(l)].o),
                  .m = s.rows,
                  .x = z_,
                  .x_stride = c.q_width(),
                  .y = straight ? x_ : out_,
                  .y_stride = c.d,
                  .add = straight};
  done(kernel.matmul(run(s), &p, 1));
  if (!straight) {
    all_rows(s, out, out_, c.d);
    done(kernel.add(run(s), x_, out_, int64_t{s.rows} * c.d));
  }
  all_rows(s, Watch(s, c, Site::resid_mid, l), x_, c.d);
}

void Fast::route_ffn(const Step& s, int l) {
  done(kernel.rmsnorm(run(s), n_, c.d, x_, c.d, vector(w.layers[at(l)].norm_ffn), c.eps, s.rows, c.d));
  if (c.layers[at(l)].moe) moe_up(s, l);
  else dense_up(s, l);
}

void Fast::dense_up(const Step& s, int l) {
  const Mlp& mlp = w.layers[at(l)].mlp;
  const Product p{.w = packed(mlp.gate),
                  .up = packed(mlp.up),
                  .m = s.rows,
                  .x = n_,
                  .x_stride = c.d,
                  .y = act_,
                  .y_stride = c.ff_dense};
  done(kernel.matmul(run(s), &p, 1));
  all_rows(s, Watch(s, c, Site::mlp_act, l), act_, c.ff_dense);
}

void Fast::moe_up(const Step& s, int l) {
  const LayerWeights& layer = w.layers[at(l)];
  all_rows(s, Watch(s, c, Site::router_in, l), n_, c.d);
  const Product router{
      .w = packed(layer.router), .m = s.rows, .x = n_, .x_stride = c.d, .y = logit_, .y_stride = c.experts};
  done(kernel.matmul(run(s), &router, 1));
  const Watch logits(s, c, Site::router_logits, l), scores(s, c, Site::router_score, l),
      choices(s, c, Site::router_choice, l);
  for (int r = 0; r < s.rows; ++r) {
    int32_t* choice = choice_ + r * c.topk;
    float* score = score_ + r * c.topk;
    route_row(s, c, l, r, logit_ + int64_t{r} * c.experts, choice, score);
    if (logits) logits.keep(r, logit_ + int64_t{r} * c.experts);
    if (scores) scores.keep(r, score);
    if (choices) {
      std::copy_n(choice, c.topk, in_);
      choices.keep(r, in_);
    }
  }
  group(s);
  experts_up(s, l);
  all_rows(s, Watch(s, c, Site::shared_act, l), shared_, c.ff);
}

/** Rows sorted by the expert they chose (a counting sort). */
void Fast::group(const Step& s) {
  std::fill(begin_.begin(), begin_.end(), 0);
  const int n = s.rows * c.topk;
  for (int i = 0; i < n; ++i) ++begin_[at(choice_[i]) + 2];
  for (size_t e = 2; e < begin_.size(); ++e) begin_[e] += begin_[e - 1];
  for (int i = 0; i < n; ++i) {
    const int32_t to = begin_[at(choice_[i]) + 1]++;
    slots_[to] = i;
    rows_of_[to] = i / c.topk;
    scale_of_[to] = score_[i];
  }
}

void Fast::expert_products(int l, Matrix Mlp::* matrix, Matrix Mlp::* up, const float* x, int64_t width,
                           bool in_slots, float* y, int64_t y_width) {
  const LayerWeights& layer = w.layers[at(l)];
  for (int e = 0; e < c.experts; ++e) {
    const int32_t from = begin_[at(e)], count = begin_[at(e) + 1] - from;
    if (count == 0) continue;
    const Mlp& mlp = layer.experts[at(e)];
    Product p{.w = packed(mlp.*matrix), .m = count, .x = x, .x_stride = width, .y = y, .y_stride = y_width};
    if (up) p.up = packed(mlp.*up);
    p.x_rows = (in_slots ? slots_ : rows_of_) + from;
    p.y_rows = slots_ + from;
    p.x_scale = in_slots ? nullptr : scale_of_ + from;
    products_.push_back(p);
  }
}

/** Gate, up and SwiGLU of the chosen experts, whose input is the row times its score, and of the shared one.
 */
void Fast::experts_up(const Step& s, int l) {
  const Mlp& shared = w.layers[at(l)].shared;
  const Watch in(s, c, Site::expert_in, l), gate(s, c, Site::expert_gate, l), up(s, c, Site::expert_up, l);
  const float* x = n_;
  if (in) {
    for (int i = 0; i < s.rows * c.topk; ++i)
      for (int j = 0; j < c.d; ++j) in_[int64_t{i} * c.d + j] = score_[i] * n_[int64_t{i / c.topk} * c.d + j];
    all_slots(s, in, in_, c.d);
    x = in_;
  }
  products_.clear();
  products_.push_back({.w = packed(shared.gate),
                       .up = packed(shared.up),
                       .m = s.rows,
                       .x = n_,
                       .x_stride = c.d,
                       .y = shared_,
                       .y_stride = c.ff});
  const bool apart = gate || up;
  if (apart) {
    expert_products(l, &Mlp::gate, nullptr, x, c.d, static_cast<bool>(in), gate_, c.ff);
    expert_products(l, &Mlp::up, nullptr, x, c.d, static_cast<bool>(in), up_, c.ff);
  } else {
    expert_products(l, &Mlp::gate, &Mlp::up, x, c.d, static_cast<bool>(in), act_, c.ff);
  }
  done(kernel.matmul(run(s), products_.data(), static_cast<int>(products_.size())));
  if (apart) {
    all_slots(s, gate, gate_, c.ff);
    all_slots(s, up, up_, c.ff);
    done(kernel.swiglu(run(s), act_, gate_, up_, int64_t{s.rows} * c.topk * c.ff));
  }
  all_slots(s, Watch(s, c, Site::expert_act, l), act_, c.ff);
}

void Fast::ffn_down(const Step& s, int l) {
  const LayerWeights& layer = w.layers[at(l)];
  const bool moe = c.layers[at(l)].moe;
  const Watch ffn(s, c, Site::ffn_out, l);
  products_.clear();
  const Mlp& always = moe ? layer.shared : layer.mlp;
  products_.push_back({.w = packed(always.down),
                       .m = s.rows,
                       .x = moe ? shared_ : act_,
                       .x_stride = always.down.cols,
                       .y = out_,
                       .y_stride = c.d});
  if (moe) expert_products(l, &Mlp::down, nullptr, act_, c.ff, true, each_, c.d);
  done(kernel.matmul(run(s), products_.data(), static_cast<int>(products_.size())));
  const int64_t n = int64_t{s.rows} * c.d;
  if (moe) {
    all_slots(s, Watch(s, c, Site::expert_out, l), each_, c.d);
    all_rows(s, Watch(s, c, Site::shared_out, l), out_, c.d);
    float* sum = each_;  // row r's slots add up in place, at [r, d]
    for (int r = 0; c.topk > 1 && r < s.rows; ++r)
      for (int j = 0; j < c.d; ++j) {
        float total = each_[int64_t{r} * c.topk * c.d + j];
        for (int k = 1; k < c.topk; ++k) total += each_[(int64_t{r} * c.topk + k) * c.d + j];
        sum[int64_t{r} * c.d + j] = total;
      }
    all_rows(s, Watch(s, c, Site::routed_out, l), sum, c.d);
    done(kernel.add(run(s), out_, sum, n));
  } else {
    all_rows(s, Watch(s, c, Site::mlp_out, l), out_, c.d);
  }
  all_rows(s, ffn, out_, c.d);
  done(kernel.add(run(s), x_, out_, n));
  all_rows(s, Watch(s, c, Site::resid_post, l), x_, c.d);
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

}  // namespace

std::unique_ptr<Backend> fast_cpu(const Config& c, const Weights& w, int threads) {
  return std::make_unique<Fast>(c, w, threads);
}

}  // namespace moescope
