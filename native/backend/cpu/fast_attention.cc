// Attention of the fast path, one verb after the other: qkv, attend, out.
#include <cstring>

#include "backend/cpu/fast.h"
#include "backend/cpu/temperature.h"

namespace moescope::fast {

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
      std::memcpy(static_cast<float*>(kv.k) + to, k_ + from, bytes);
      std::memcpy(static_cast<float*>(kv.v) + to, v_ + from, bytes);
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
    a.k = from_tile ? k_ + first * kw : static_cast<const float*>(kv.k);
    a.v = from_tile ? v_ + first * kw : static_cast<const float*>(kv.v);
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

}  // namespace moescope::fast
