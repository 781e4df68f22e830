// The exact path: the spec as straight-line code, f32, row by row. It is the oracle of every other backend,
// so it shares no arithmetic with them; a row's values are bit-equal for any tiling, batch and order of
// calls.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/exact_ops.h"
#include "backend/cpu/plain_store.h"
#include "backend/cpu/route.h"
#include "backend/cpu/temperature.h"
#include "base/error.h"
#include "model/logits.h"
#include "taps/watch.h"

namespace moescope {
namespace {

using exact::multiply;

/** What the rows of a tile are between verbs, [rows, width]. */
struct Activations {
  std::vector<float> x, n, q, k, v, z, out, logit, act, shared_act;
  std::vector<float> temperature, score, gate, up, in, probability;
  std::vector<int32_t> choice;
};

class Exact final : public Backend {
 public:
  Exact(const Config& config, const Weights& weights) : c(config), w(weights) {}

  size_t matrix_bytes(Format f, int64_t rows, int64_t cols) const override { return bytes_of(f, rows, cols); }
  bool plain() const override { return true; }
  int64_t pack(const Matrix& m, void* dst, const Source& s, int64_t begin, int64_t end) const override {
    return store_rows(m, dst, s, begin, end);
  }
  void unpack(const Matrix& m, float* dst, int64_t begin, int64_t end) const override {
    load_rows(m, dst, begin, end);
  }

  void reserve(int rows) override {
    if (rows <= rows_) return;
    rows_ = rows;
    const auto floats = [&](std::vector<float>& v, int64_t width) {
      v.resize(static_cast<size_t>(rows * width));
    };
    floats(a.x, c.d);
    floats(a.n, c.d);
    floats(a.out, c.d);
    floats(a.q, c.q_width());
    floats(a.k, c.kv_width());
    floats(a.v, c.kv_width());
    floats(a.z, c.q_width());
    floats(a.temperature, 1);
    floats(a.logit, c.experts);
    floats(a.score, c.topk);
    a.choice.resize(static_cast<size_t>(rows) * static_cast<size_t>(c.topk));
    floats(a.act, std::max(int64_t{c.topk} * c.ff, int64_t{c.ff_dense}));
    floats(a.shared_act, c.ff);
    const size_t wide =
        static_cast<size_t>(std::max(int64_t{c.topk} * std::max(c.ff, c.d), int64_t{c.ff_dense}));
    a.gate.resize(wide);
    a.up.resize(wide);
    a.in.resize(wide);
    size_t floats_held = a.choice.size();
    for (const auto* v : {&a.x, &a.n, &a.q, &a.k, &a.v, &a.z, &a.out, &a.logit, &a.act, &a.shared_act,
                          &a.temperature, &a.score, &a.gate, &a.up, &a.in})
      floats_held += v->size();
    scratch_bytes_ = floats_held * sizeof(float);
  }
  size_t scratch_bytes() const override { return scratch_bytes_; }
  int tile_rows() const override { return 64; }

  void embed(const Step& s) override {
    const Watch watch(s, c, Site::embed, -1);
    for (int r = 0; r < s.rows; ++r) {
      float* x = row(a.x, r, c.d);
      if (s.embeds && s.embeds[r]) std::memcpy(x, s.embeds[r], sizeof(float) * static_cast<size_t>(c.d));
      else unpack(w.embed, x, s.ids[r], s.ids[r] + 1);
      if (watch) watch.row(r, x);
    }
  }

  void qkv(const Step& s, int l) override {
    const LayerWeights& layer = w.layers[at(l)];
    const bool rope = c.layers[at(l)].rope;
    const Watch pre(s, c, Site::resid_pre, l), in(s, c, Site::attn_in, l), q_(s, c, Site::attn_q, l),
        k_(s, c, Site::attn_k, l), v_(s, c, Site::attn_v, l), q_used(s, c, Site::attn_q_used, l),
        k_used(s, c, Site::attn_k_used, l), temp(s, c, Site::attn_temperature, l);
    std::vector<float> cos(at(c.head_dim / 2)), sin(cos.size());
    for (int r = 0; r < s.rows; ++r) {
      poll(s);
      float *x = row(a.x, r, c.d), *n = row(a.n, r, c.d);
      float *q = row(a.q, r, c.q_width()), *k = row(a.k, r, c.kv_width()), *v = row(a.v, r, c.kv_width());
      if (pre) pre.row(r, x);
      exact::rmsnorm(n, x, vector(layer.norm_attn), c.eps, c.d);
      if (in) in.row(r, n);

      multiply(layer.q, n, q);
      multiply(layer.k, n, k);
      multiply(layer.v, n, v);
      if (q_) q_.row(r, q);
      if (k_) k_.row(r, k);
      if (v_) v_.row(r, v);

      float factor = 1;
      if (rope) {
        rope_angles(c, s.positions[r], c.chunks(l), cos.data(), sin.data());
        for (int h = 0; h < c.heads; ++h)
          exact::rotate(q + h * c.head_dim, cos.data(), sin.data(), c.head_dim);
        for (int h = 0; h < c.kv_heads; ++h)
          exact::rotate(k + h * c.head_dim, cos.data(), sin.data(), c.head_dim);
        if (c.qk_norm) {
          for (int h = 0; h < c.heads; ++h) unit(q + h * c.head_dim);
          for (int h = 0; h < c.kv_heads; ++h) unit(k + h * c.head_dim);
        }
      } else {
        factor = temperature_of(s, c, l, r);
        for (int i = 0; i < c.q_width(); ++i) q[i] *= factor;
      }
      a.temperature[at(r)] = factor;
      if (temp) temp.keep(r, &factor);
      if (q_used) q_used.row(r, q);
      if (k_used) k_used.row(r, k);
    }
  }

  void attend(const Step& s, int l) override {
    const Watch summary(s, c, Site::attn_summary, l), pattern(s, c, Site::attn_pattern, l),
        z_(s, c, Site::attn_z, l);
    const int dh = c.head_dim, group = c.heads / c.kv_heads;
    const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(dh)));
    for (int g = 0; g < s.segment_count; ++g) {
      const Segment& seg = s.segments[g];
      const KvLayer& kv = seg.kv[l];
      const int64_t base = c.chunks(l) ? seg.position / c.chunk * c.chunk : 0;  // position of slot 0
      for (int i = 0; i < seg.count; ++i)
        for (int h = 0; h < c.kv_heads; ++h) {
          const int64_t slot = (h * kv.slots + seg.position + i - base) * dh;
          std::copy_n(row(a.k, seg.row + i, c.kv_width()) + h * dh, dh, kv.k + slot);
          std::copy_n(row(a.v, seg.row + i, c.kv_width()) + h * dh, dh, kv.v + slot);
        }
      for (int i = 0; i < seg.count; ++i) {
        const int r = seg.row + i;
        const int64_t keys = seg.position + i - base + 1;
        std::vector<float>& p = a.probability;
        if (static_cast<int64_t>(p.size()) < 2 * keys) p.resize(static_cast<size_t>(2 * keys));
        float* z = row(a.z, r, c.q_width());
        std::vector<float> stats;
        if (summary) stats.resize(at(c.heads) * summary_width);
        for (int h = 0; h < c.heads; ++h) {
          poll(s);
          const float* q = row(a.q, r, c.q_width()) + h * dh;
          const float* k = kv.k + (h / group) * kv.slots * dh;
          const float* v = kv.v + (h / group) * kv.slots * dh;
          for (int64_t t = 0; t < keys; ++t)
            p[static_cast<size_t>(t)] = exact::dot(k + t * dh, q, dh) * scale;
          if (summary) std::copy_n(p.data(), keys, p.data() + keys);
          exact::softmax(p.data(), keys);
          std::fill_n(z + h * dh, dh, 0.0f);
          for (int64_t t = 0; t < keys; ++t)
            for (int j = 0; j < dh; ++j) z[h * dh + j] += p[static_cast<size_t>(t)] * v[t * dh + j];
          if (summary)
            summarise(stats.data() + h * summary_width, p.data(), p.data() + keys, keys, base,
                      a.temperature[at(r)]);
          if (pattern) keep_pattern(s, l, r, h, p.data(), keys);
        }
        if (summary) summary.keep(r, stats.data());
        if (z_) z_.row(r, z);
      }
    }
  }

  void out(const Step& s, int l) override {
    const Watch out_(s, c, Site::attn_out, l), mid(s, c, Site::resid_mid, l);
    for (int r = 0; r < s.rows; ++r) {
      poll(s);
      float *x = row(a.x, r, c.d), *out = row(a.out, r, c.d);
      multiply(w.layers[at(l)].o, row(a.z, r, c.q_width()), out);
      if (out_) out_.row(r, out);
      for (int i = 0; i < c.d; ++i) x[i] += out[i];
      if (mid) mid.row(r, x);
    }
  }

  void route_ffn(const Step& s, int l) override {
    const LayerWeights& layer = w.layers[at(l)];
    for (int r = 0; r < s.rows; ++r) {
      poll(s);
      float* n = row(a.n, r, c.d);
      exact::rmsnorm(n, row(a.x, r, c.d), vector(layer.norm_ffn), c.eps, c.d);
      if (c.layers[at(l)].moe) moe_up(s, l, r, n);
      else dense_up(s, l, r, n);
    }
  }

  void ffn_down(const Step& s, int l) override {
    const LayerWeights& layer = w.layers[at(l)];
    const bool moe = c.layers[at(l)].moe;
    const Watch expert(s, c, moe ? Site::expert_out : Site::mlp_out, l), shared(s, c, Site::shared_out, l),
        routed(s, c, Site::routed_out, l), ffn(s, c, Site::ffn_out, l), post(s, c, Site::resid_post, l);
    std::vector<float> each(at(c.topk) * at(c.d)), sum(at(c.d));
    for (int r = 0; r < s.rows; ++r) {
      poll(s);
      float *x = row(a.x, r, c.d), *out = row(a.out, r, c.d);
      if (moe) {
        const int32_t* choice = a.choice.data() + r * c.topk;
        for (int k = 0; k < c.topk; ++k)
          multiply(layer.experts[at(choice[k])].down, row(a.act, r, c.topk * c.ff) + k * c.ff,
                   &each[at(k * c.d)]);
        if (expert) expert.row(r, each.data(), choice);
        for (int i = 0; i < c.d; ++i) {
          sum[at(i)] = each[at(i)];
          for (int k = 1; k < c.topk; ++k) sum[at(i)] += each[at(k * c.d + i)];
        }
        if (routed) routed.row(r, sum.data());
        multiply(layer.shared.down, row(a.shared_act, r, c.ff), out);
        if (shared) shared.row(r, out);
        for (int i = 0; i < c.d; ++i) out[i] += sum[at(i)];
      } else {
        multiply(layer.mlp.down, row(a.act, r, c.ff_dense), out);
        if (expert) expert.row(r, out);
      }
      if (ffn) ffn.row(r, out);
      for (int i = 0; i < c.d; ++i) x[i] += out[i];
      if (post) post.row(r, x);
    }
  }

  void head(const Step& s, const HeadOut& o) override {
    const Watch norm(s, c, Site::final_norm, -1), logits_(s, c, Site::logits, -1);
    std::vector<float> logits(at(c.vocab));
    for (int r = 0; r < s.rows; ++r) {
      poll(s);
      float* n = row(a.n, r, c.d);
      exact::rmsnorm(n, row(a.x, r, c.d), vector(w.final_norm), c.eps, c.d);
      if (norm) norm.row(r, n);
      multiply(c.tied_embeddings ? w.embed : w.unembed, n, logits.data());
      if (logits_) logits_.row(r, logits.data());
      const LogitRow known = logit_row(logits.data(), c.vocab);
      if (o.lse) o.lse[r] = known.lse;
      if (o.entropy) o.entropy[r] = known.entropy;
      if (o.target && o.target[r] >= 0) {
        if (o.logprob) o.logprob[r] = logits[at(o.target[r])] - known.lse;
        if (o.rank) o.rank[r] = rank_of(logits.data(), c.vocab, o.target[r]);
      }
      if (o.keep && o.keep[r]) std::copy(logits.begin(), logits.end(), o.keep[r]);
    }
  }

  int32_t sample(const float* logits, const Sampling& s, uint64_t n) override {
    return sampler_.draw(logits, c.vocab, s, n);
  }

  int nonfinite_row(const Step& s) const override {
    for (int r = 0; r < s.rows; ++r)
      if (!finite(a.x, r, c.d)) return r;
    return -1;
  }
  Site nonfinite_site(const Step&, int l, int r) const override {
    if (!finite(a.q, r, c.q_width())) return Site::attn_q;
    if (!finite(a.k, r, c.kv_width())) return Site::attn_k;
    if (!finite(a.v, r, c.kv_width())) return Site::attn_v;
    if (!finite(a.z, r, c.q_width())) return Site::attn_z;
    if (!finite(a.n, r, c.d)) return Site::router_in;
    const bool moe = c.layers[at(l)].moe;
    if (moe && !finite(a.logit, r, c.experts)) return Site::router_logits;
    if (!finite(a.act, r, moe ? c.topk * c.ff : c.ff_dense)) return moe ? Site::expert_act : Site::mlp_act;
    if (moe && !finite(a.shared_act, r, c.ff)) return Site::shared_act;
    if (!finite(a.out, r, c.d)) return Site::ffn_out;
    return Site::resid_post;
  }

 private:
  static size_t at(int i) { return static_cast<size_t>(i); }
  static float* row(std::vector<float>& v, int r, int width) { return v.data() + int64_t{r} * width; }
  static const float* vector(const Matrix& m) { return static_cast<const float*>(m.data); }
  static bool finite(const std::vector<float>& v, int r, int width) {
    const float* x = v.data() + int64_t{r} * width;
    return std::all_of(x, x + width, [](float y) { return std::isfinite(y); });
  }
  static void poll(const Step& s) {
    if (s.cancel && s.cancel->load(std::memory_order_relaxed)) fail(Code::cancelled, "", "stopped");
  }
  void unit(float* x) const { exact::rmsnorm(x, x, nullptr, c.eps, c.head_dim); }

  void moe_up(const Step& s, int l, int r, float* n) {
    const LayerWeights& layer = w.layers[at(l)];
    const Watch in(s, c, Site::router_in, l), logits(s, c, Site::router_logits, l),
        scores(s, c, Site::router_score, l), choices(s, c, Site::router_choice, l),
        expert_in(s, c, Site::expert_in, l), gates(s, c, Site::expert_gate, l), ups(s, c, Site::expert_up, l),
        acts(s, c, Site::expert_act, l), shared(s, c, Site::shared_act, l);
    if (in) in.row(r, n);
    float* logit = row(a.logit, r, c.experts);
    float* score = row(a.score, r, c.topk);
    int32_t* choice = a.choice.data() + r * c.topk;
    multiply(layer.router, n, logit);
    if (logits) logits.keep(r, logit);
    route_row(s, c, l, r, logit, choice, score);
    if (scores) scores.keep(r, score);
    if (choices) {
      for (int k = 0; k < c.topk; ++k) a.in[at(k)] = static_cast<float>(choice[k]);
      choices.keep(r, a.in.data());
    }

    // The score multiplies the routed expert's input; the shared expert takes the input as it is.
    for (int k = 0; k < c.topk; ++k)
      for (int i = 0; i < c.d; ++i) a.in[at(k * c.d + i)] = score[k] * n[i];
    if (expert_in) expert_in.row(r, a.in.data(), choice);
    for (int k = 0; k < c.topk; ++k) {
      multiply(layer.experts[at(choice[k])].gate, &a.in[at(k * c.d)], &a.gate[at(k * c.ff)]);
      multiply(layer.experts[at(choice[k])].up, &a.in[at(k * c.d)], &a.up[at(k * c.ff)]);
    }
    if (gates) gates.row(r, a.gate.data(), choice);
    if (ups) ups.row(r, a.up.data(), choice);
    float* act = row(a.act, r, c.topk * c.ff);
    for (int i = 0; i < c.topk * c.ff; ++i) act[i] = exact::silu(a.gate[at(i)]) * a.up[at(i)];
    if (acts) acts.row(r, act, choice);

    float* shared_act = row(a.shared_act, r, c.ff);
    multiply(layer.shared.gate, n, a.gate.data());
    multiply(layer.shared.up, n, a.up.data());
    for (int i = 0; i < c.ff; ++i) shared_act[i] = exact::silu(a.gate[at(i)]) * a.up[at(i)];
    if (shared) shared.row(r, shared_act);
  }

  void dense_up(const Step& s, int l, int r, float* n) {
    const LayerWeights& layer = w.layers[at(l)];
    const Watch acts(s, c, Site::mlp_act, l);
    float* act = row(a.act, r, c.ff_dense);
    multiply(layer.mlp.gate, n, a.gate.data());
    multiply(layer.mlp.up, n, a.up.data());
    for (int i = 0; i < c.ff_dense; ++i) act[i] = exact::silu(a.gate[at(i)]) * a.up[at(i)];
    if (acts) acts.row(r, act);
  }

  /** The seven numbers of attn.summary, from the weights p and the scores before softmax. */
  static void summarise(float* out, const float* p, float* scores, int64_t n, int64_t base,
                        float temperature) {
    double entropy = 0, off = 0, local = 0, distance = 0;
    int64_t top = 0;
    for (int64_t t = 0; t < n; ++t) {
      if (p[t] > 0) entropy -= p[t] * std::log(static_cast<double>(p[t]));
      if (p[t] > p[top]) top = t;
      if (t >= n - 128) local += p[t];
      distance += p[t] * static_cast<double>(n - 1 - t);
      scores[t] /= temperature;
    }
    exact::softmax(scores, n);
    for (int64_t t = 0; t < n; ++t)
      if (scores[t] > 0) off -= scores[t] * std::log(static_cast<double>(scores[t]));
    out[0] = static_cast<float>(entropy);
    out[1] = static_cast<float>(off);
    out[2] = p[top];
    out[3] = static_cast<float>(base + top);
    out[4] = p[0];
    out[5] = static_cast<float>(local);
    out[6] = static_cast<float>(distance);
  }

  void keep_pattern(const Step& s, int l, int r, int h, const float* p, int64_t keys) const {
    for (const Tap* t = s.at(Site::attn_pattern, l).taps; t; t = t->next) {
      if (t->to[r] < 0 || (t->heads && !t->heads[h])) continue;
      int place = 0;
      for (int i = 0; i < h; ++i) place += !t->heads || t->heads[i];
      std::copy_n(p, keys, t->pattern[t->to[r]] + place * keys);
    }
  }

  const Config& c;
  const Weights& w;
  Activations a;
  Sampler sampler_;
  int rows_ = 0;
  std::atomic<size_t> scratch_bytes_{0};  // asked for from other threads
};

}  // namespace

std::unique_ptr<Backend> exact_cpu(const Config& c, const Weights& w) {
  return std::make_unique<Exact>(c, w);
}

}  // namespace moescope
