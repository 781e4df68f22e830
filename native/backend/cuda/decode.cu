// A decoded row, from the id that is drawn to the logits that follow it.
//
// Five fused kernels a layer where its weights are int4 and nothing inside them is watched; elsewhere the
// verbs as in prefill. Where the row stands, what was drawn and which edits it meets is on the device
// (`Row`), so a step is the same launches again and again: `ahead.cu` queues them.
#include <algorithm>
#include <cmath>

#include "backend/cuda/angle.cuh"
#include "backend/cuda/convert.cuh"
#include "backend/cuda/cuda.cuh"
#include "backend/cuda/launch.cuh"
#include "backend/cuda/linear.cuh"
#include "backend/cuda/queue.cuh"
#include "model/positional.h"

namespace moescope::cuda {
namespace {

constexpr int row_threads = 1024;

/** x = the id's embedding; the rotations of its position. One block. */
template <class W>
__global__ void begin_row(float* x, const W* table, const Row* row, int d, float* cos_out, float* sin_out,
                          float* cos_global, float* sin_global, const float* frequency,
                          const double* frequency64, int half, int64_t chunk, unsigned* arrived,
                          int arrived_count) {
  let_successor_begin();
  after_predecessor();
  const int t = static_cast<int>(threadIdx.x);
  for (int i = t; i < d; i += row_threads) x[i] = element(table, int64_t{row->id} * d + i);
  for (int i = t; i < arrived_count; i += row_threads) arrived[i] = 0;
  for (int j = t; j < half; j += row_threads) {
    const Turn own = frequency ? turn_hf(row->position, frequency[j])
                               : turn_accurate(row->position, frequency64[j], chunk);
    cos_out[j] = own.cos, sin_out[j] = own.sin;
    if (frequency) continue;
    const Turn global = turn_accurate(row->position, frequency64[j], 0);
    cos_global[j] = global.cos, sin_global[j] = global.sin;
  }
}

/** What taps of the whole step keep, from where it lies to its place in the slot. A block each. */
__global__ void keep_all(const Late* kept, const Row* row, Ring ring) {
  let_successor_begin();
  after_predecessor();
  const Late k = kept[blockIdx.x];
  float* to = reinterpret_cast<float*>(ring.slot(*row) + k.to);
  for (int i = static_cast<int>(threadIdx.x); i < k.count; i += static_cast<int>(blockDim.x))
    to[i] = k.from[i];
}

bool is_int4(const Matrix& m) { return group_of(m.format) > 0; }

}  // namespace

/** Whether a layer's attention goes through the fused kernels. */
bool Cuda::fused_attention(const Step& s, int l) const {
  const LayerWeights& weights = layer(l);
  for (const Site site : {Site::attn_in, Site::attn_q_used, Site::attn_k_used, Site::attn_temperature,
                          Site::attn_summary, Site::attn_pattern, Site::attn_out})
    if (watched(s, site, l)) return false;
  return fast_ && is_int4(weights.q) && decode_attention_fits(c) &&
         linear_fits(c.q_width() + 2 * c.kv_width(), c.d) && linear_fits(c.d, c.q_width());
}

/** And its feed-forward block. */
bool Cuda::fused_ffn(const Step& s, int l) const {
  const LayerWeights& weights = layer(l);
  for (const Site site : {Site::router_in, Site::expert_in, Site::expert_gate, Site::expert_up,
                          Site::expert_out, Site::shared_out, Site::routed_out, Site::mlp_out, Site::ffn_out})
    if (watched(s, site, l)) return false;
  for (const Site site : {Site::router_logits, Site::router_score, Site::router_choice})
    if (s.at(site, l).edits) return false;
  const bool moe = kind(l).moe;
  return fast_ && is_int4(moe ? weights.shared.gate : weights.mlp.gate) && (!moe || c.topk == 1) &&
         decode_ffn_fits(c.d, moe ? c.ff : c.ff_dense, moe ? c.experts : 0);
}

void Cuda::decode_attention_layer(const Step& s, int l) {
  Queue& queue = *queue_;
  const LayerWeights& weights = layer(l);
  const int group = group_of(weights.q.format);
  watch(s, Site::resid_pre, l, a.x);
  Linear in;
  in.x = a.x, in.norm = static_cast<const float*>(weights.norm_attn.data), in.eps = c.eps, in.cols = c.d;
  in.w[0] = weights.q, in.w[1] = weights.k, in.w[2] = weights.v;
  in.y[0] = a.q, in.y[1] = a.k, in.y[2] = a.v, in.count = 3;
  launch_linear(in, group, 1, true, stream_);
  watch(s, Site::attn_q, l, a.q);
  watch(s, Site::attn_k, l, a.k);
  watch(s, Site::attn_v, l, a.v);
  note();

  DecodeAttention attention{};
  const bool own = c.rope == Rope::hf || c.chunks(l);
  attention.q = a.q, attention.k = a.k, attention.v = a.v, attention.z = a.z, attention.lse = a.lse;
  attention.cos = own ? a.cos : a.cos_global, attention.sin = own ? a.sin : a.sin_global;
  attention.part = queue.attention_parts.as<float>();
  attention.row = queue.row();
  attention.kv = s.segments[0].kv[l];
  attention.edits = step_.edits, attention.layers = s.layers, attention.layer = l;
  attention.law = temperature_law();
  attention.arrived = queue.arrived.as<unsigned>() + l * (c.kv_heads + 1);
  attention.heads = c.heads, attention.kv_heads = c.kv_heads, attention.head_dim = c.head_dim;
  attention.splits = decode_splits(c);
  attention.chunk = c.chunks(l) ? c.chunk : 0;
  attention.scale = static_cast<float>(log2_of_e / std::sqrt(static_cast<double>(c.head_dim)));
  attention.eps = c.eps, attention.rope = kind(l).rope, attention.norm = c.qk_norm;
  launch_decode_attention(attention, stream_);
  watch(s, Site::attn_z, l, a.z);
  note();

  Linear out;
  out.x = a.z, out.cols = c.q_width(), out.w[0] = weights.o, out.y[0] = a.x, out.add = a.x, out.count = 1;
  launch_linear(out, group_of(weights.o.format), 1, true, stream_);
  watch(s, Site::resid_mid, l, a.x);
}

void Cuda::decode_ffn_layer(const Step& s, int l) {
  Queue& queue = *queue_;
  const LayerWeights& weights = layer(l);
  const bool moe = kind(l).moe;
  const Mlp& mlp = moe ? weights.shared : weights.mlp;
  DecodeFfn f{};
  f.x = a.x, f.norm = static_cast<const float*>(weights.norm_ffn.data), f.eps = c.eps;
  f.d = c.d, f.ff = moe ? c.ff : c.ff_dense, f.experts = moe ? c.experts : 0;
  f.gate = mlp.gate, f.up = mlp.up, f.down = mlp.down;
  f.act = moe ? a.shared : a.act, f.routed_act = a.act;
  if (moe) {
    f.routed[0] = weight(l, &Mlp::gate).experts, f.routed[1] = weight(l, &Mlp::up).experts;
    f.routed[2] = weight(l, &Mlp::down).experts;
    f.router = static_cast<const float*>(weights.router.data);
    // Every layer has its own place for these: what is kept of them is copied once, at the end of the step.
    float* routing = queue.routing.as<float>() + int64_t{l} * queue.routing_width(c);
    f.logit = routing, f.score = routing + c.experts, f.choice_f = f.score + 1;
    f.choice = a.choice;
  }
  f.bad = bad_ + l + 1, f.mark = static_cast<int32_t>(Site::resid_post);
  f.edits = step_.edits, f.layers = s.layers, f.layer = l;
  f.arrived = queue.arrived.as<unsigned>() + l * (c.kv_heads + 1) + c.kv_heads;
  const int group = group_of(mlp.gate.format);
  launch_decode_up(f, group, stream_);
  watch(s, moe ? Site::expert_act : Site::mlp_act, l, a.act);
  if (moe) watch(s, Site::shared_act, l, a.shared);
  note();
  launch_decode_down(f, group, stream_);
  watch(s, Site::resid_post, l, a.x);
}

void Cuda::note() {
  if (queue_->profile) laps_.note(stream_);
}

/** One step's launches. */
void Cuda::decode_step() {
  Queue& queue = *queue_;
  const Step& s = queue.step;
  const Logits& logits = queue.logits;
  note();
  launch_draw(logits, stream_);
  note();
  const bool hf = c.rope == Rope::hf;
  const auto begin = [&](auto kernel, auto* table) {
    launch_after(kernel, dim3(1), row_threads, 0, true, stream_, "embed", a.x, table, queue.row(), c.d, a.cos,
                 a.sin, a.cos_global, a.sin_global, hf ? inv_freq_ : nullptr, inv_freq64_, c.head_dim / 2,
                 c.chunk, queue.arrived.as<unsigned>(), c.layer_count() * (c.kv_heads + 1));
  };
  if (w.embed.format == Format::f32) begin(begin_row<float>, static_cast<const float*>(w.embed.data));
  else begin(begin_row<uint16_t>, static_cast<const uint16_t*>(w.embed.data));
  watch(s, Site::embed, -1, a.x);
  note();
  for (int l = 0; l < c.layer_count(); ++l) {
    injected(l);
    if (fused_attention(s, l)) {
      decode_attention_layer(s, l);
    } else {
      qkv(s, l);
      note();
      attend(s, l);
      note();
      out(s, l);
    }
    note();
    if (fused_ffn(s, l)) {
      decode_ffn_layer(s, l);
    } else {
      route_ffn(s, l);
      note();
      ffn_down(s, l);
    }
    note();
  }
  const Matrix& head = c.tied_embeddings ? w.embed : w.unembed;
  if (fast_ && is_int4(head) && linear_fits(head.rows, head.cols) && !watched(s, Site::final_norm, -1)) {
    Linear last;
    last.x = a.x, last.norm = static_cast<const float*>(w.final_norm.data), last.eps = c.eps, last.cols = c.d;
    last.w[0] = head;
    last.y[0] = a.logits, last.count = 1;
    launch_linear(last, group_of(head.format), 1, true, stream_);
  } else {
    rmsnorm(a.n, a.x, w.final_norm, 1);
    watch(s, Site::final_norm, -1, a.n);
    multiply(weight(head), a.n, a.logits, 1);
  }
  watch(s, Site::logits, -1, a.logits);
  if (queue.late_count > 0)
    launch_after(keep_all, dim3(static_cast<unsigned>(queue.late_count)), 64, 0, true, stream_, "taps",
                 queue.late.as<Late>(), queue.row(), logits.ring);
  launch_know(logits, true, stream_);
  note();
}

}  // namespace moescope::cuda
