// The feed-forward block of the fast path: route_ffn and ffn_down, rows grouped by expert.
#include <algorithm>

#include "backend/cpu/fast.h"
#include "backend/cpu/route.h"

namespace moescope::fast {

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

}  // namespace moescope::fast
