// A decoded row from the id that is drawn to the logits that follow it, and many of them ahead of the host.
//
// A step is five fused kernels a layer where its weights are int4 and nothing inside them is watched;
// elsewhere the verbs as in prefill. Where the row stands, what was drawn and which edits it meets is on the
// device (`Row`), so a step is the same launches again and again: the first runs as it is, the second is
// recorded as a graph, and the host keeps a few of them queued. What a step is asked to keep goes into its
// slot of a ring in pinned memory, straight from the kernels; the host waits for the event of the oldest step
// only.
#include <algorithm>
#include <cmath>

#include "backend/cuda/convert.cuh"
#include "backend/cuda/cuda.cuh"
#include "backend/cuda/linear.cuh"
#include "backend/cuda/queue.cuh"
#include "model/positional.h"

namespace moescope::cuda {
namespace {

constexpr int threads = 256, row_threads = 1024;

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
    if (frequency) {
      const double angle = static_cast<double>(__fmul_rn(static_cast<float>(row->position), frequency[j]));
      cos_out[j] = static_cast<float>(cos(angle)), sin_out[j] = static_cast<float>(sin(angle));
    } else {
      const double p = row->position, own = chunk > 0 ? row->position % chunk : p;
      cos_out[j] = static_cast<float>(cos(own * frequency64[j])),
      sin_out[j] = static_cast<float>(sin(own * frequency64[j]));
      cos_global[j] = static_cast<float>(cos(p * frequency64[j])),
      sin_global[j] = static_cast<float>(sin(p * frequency64[j]));
    }
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

/** One tap, some groups of a site. */
__global__ void keep_one(const float* values, const int32_t* groups, int count, int width,
                         const int32_t* choice, int topk, int64_t at, const Row* row, Ring ring) {
  float* to = reinterpret_cast<float*>(ring.slot(*row) + at);
  for (int i = static_cast<int>(threadIdx.x); i < count * width; i += threads)
    to[i] = values[groups[i / width] * width + i % width];
  int32_t* chosen = reinterpret_cast<int32_t*>(to + count * width);
  for (int i = static_cast<int>(threadIdx.x); choice && i < topk; i += threads) chosen[i] = choice[i];
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
  attention.scale = static_cast<float>(1.4426950408889634 / std::sqrt(static_cast<double>(c.head_dim)));
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

/** A tap of the step's row, for `watch`. */
void Cuda::keep_in_slot(const Tap& tap, const SiteShape& shape, const float* values) {
  const auto found = queue_->places.find(&tap);
  if (found == queue_->places.end() || found->second.late) return;
  const DeviceTap& where = step_.tap(&tap);
  keep_one<<<1, threads, 0, stream_>>>(values, where.on_device, static_cast<int>(where.groups.size()),
                                       shape.width, tap.experts ? a.choice : nullptr, c.topk,
                                       found->second.at, queue_->row(), queue_->logits.ring);
  launched("tap");
}

/** Gives every tap that keeps the row its place in the slot. */
void Cuda::place_taps() {
  Queue& queue = *queue_;
  const Step& s = queue.step;
  queue.places.clear();
  std::vector<Late> late;
  int64_t bytes = (sizeof(Told) + 15) / 16 * 16;
  for (int line = 0; line <= s.layers; ++line)
    for (int i = 0; i < site_count; ++i)
      for (const Tap* t = s.points[line * site_count + i].taps; t; t = t->next) {
        if (step_.tap(t).kept->rows.empty() || t->width == 0) continue;
        const Site site = static_cast<Site>(i);
        const bool routing =
            site == Site::router_logits || site == Site::router_score || site == Site::router_choice;
        const bool later = routing && line < s.layers && fused_ffn(s, line);
        if (later) {
          const float* from = queue.routing.as<float>() + int64_t{line} * queue.routing_width(c);
          if (site == Site::router_score) from += c.experts;
          if (site == Site::router_choice) from += c.experts + 1;
          late.push_back({from, bytes, static_cast<int>(t->width)});
        }
        queue.places[t] = {bytes, later};
        bytes += (t->width + (t->experts ? c.topk : 0)) * 4;
        bytes = (bytes + 15) / 16 * 16;
      }
  queue.logits.ring = {nullptr, Queue::slots, bytes};
  queue.slots_memory.reserve(static_cast<size_t>(Queue::slots * bytes), "captures");
  queue.logits.ring.at = queue.slots_memory.as<std::byte>();
  queue.late_count = static_cast<int>(late.size());
  queue.late.reserve(std::max<size_t>(1, late.size()) * sizeof(Late), "captures");
  if (!late.empty()) upload(queue.late.as<Late>(), late.data(), late.size() * sizeof(Late));
}

bool Cuda::ahead(const Step& s, const Ahead& ahead) {
  use();
  for (int l = 0; l < s.layers; ++l)
    if (s.at(Site::attn_pattern, l).taps) return false;  // its rows grow
  check(cudaStreamSynchronize(stream_), "step");
  outbox_.drop();
  if (!queue_) queue_ = std::make_unique<Queue>(c);
  Queue& queue = *queue_;
  queue.step = s;
  queue.segment = s.segments[0];
  queue.step.segments = &queue.segment;
  step_.send(s, c, stream_);
  const size_t vocab = static_cast<size_t>(c.vocab);
  queue.kept_logits.reserve(vocab * sizeof(float), "logits");
  queue.mass.reserve(ahead.sampling.temperature > 0 ? vocab * sizeof(unsigned long long) : 1, "sampling");
  queue.stop_ids.reserve(std::max<size_t>(1, static_cast<size_t>(ahead.stops)) * sizeof(int32_t), "stop ids");
  if (ahead.stops > 0)
    upload(queue.stop_ids.as<int32_t>(), ahead.stop_ids, static_cast<size_t>(ahead.stops) * sizeof(int32_t));
  // One more than there are steps: the last one moves on, too.
  std::vector<uint16_t> variants(static_cast<size_t>(ahead.most) + 1);
  if (ahead.variants) std::copy_n(ahead.variants, ahead.most, variants.begin());
  queue.variants.reserve(variants.size() * sizeof(uint16_t), "edits");
  upload(queue.variants.as<uint16_t>(), variants.data(), variants.size() * sizeof(uint16_t));
  upload(a.logits, ahead.logits, vocab * sizeof(float));

  Row row{};
  row.id = -1;
  row.position = s.positions[0];
  row.lse = ahead.lse;
  row.variant = variants[0];
  upload(queue.row(), &row, sizeof row);
  step_.follow(queue.row());

  Logits& logits = queue.logits;
  logits = {};
  logits.row = queue.row(), logits.logits = a.logits, logits.kept = queue.kept_logits.as<float>();
  logits.mass = queue.mass.as<unsigned long long>(), logits.parts = queue.parts.as<LogitPart>();
  logits.stop_ids = queue.stop_ids.as<int32_t>(), logits.stop_count = ahead.stops;
  logits.variants = queue.variants.as<uint16_t>();
  logits.bad = bad_, logits.bad_count = c.layer_count() + 1;
  logits.sampling = ahead.sampling, logits.vocab = c.vocab;
  place_taps();
  ahead_active_ = true;
  launch_know(logits, false, stream_);
  queue.queued = queue.waited = 0;
  queue.profile = ahead.profile;
  return true;
}

void Cuda::ahead_queue() {
  use();
  Queue& queue = *queue_;
  if (queue.queued == 1 && !queue.profile) {
    // The first step has made room for all there is: nothing is allocated while the second is recorded.
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed), "graph");
    cudaGraph_t graph = nullptr;
    try {
      decode_step();
    } catch (...) {
      (void)cudaStreamEndCapture(stream_, &graph);
      if (graph) (void)cudaGraphDestroy(graph);
      throw;
    }
    check(cudaStreamEndCapture(stream_, &graph), "graph");
    queue.drop_graph();
    const cudaError_t made = cudaGraphInstantiate(&queue.graph, graph, 0);
    (void)cudaGraphDestroy(graph);
    check(made, "graph");
  }
  if (queue.queued == 0 || queue.profile) decode_step();
  else check(cudaGraphLaunch(queue.graph, stream_), "graph");
  check(cudaEventRecord(queue.done[queue.queued % Queue::slots], stream_), "step");
  ++queue.queued;
}

Drawn Cuda::ahead_wait() {
  use();
  Queue& queue = *queue_;
  const int slot = queue.waited % Queue::slots;
  check(cudaEventSynchronize(queue.done[slot]), "step");
  const std::byte* at = queue.logits.ring.at + slot * queue.logits.ring.bytes;
  const Told& told = *reinterpret_cast<const Told*>(at);
  for (const auto& entry : queue.places) {
    const Tap* tap = entry.first;
    const int32_t to = tap->to[0];
    if (to < 0) continue;
    const float* from = reinterpret_cast<const float*>(at + entry.second.at);
    const int32_t* chosen = reinterpret_cast<const int32_t*>(from + tap->width);
    if (tap->experts &&
        std::none_of(chosen, chosen + c.topk, [&](int32_t e) { return tap->experts[e] != 0; }))
      continue;
    if (tap->kept) tap->kept[to] = 1;
    std::copy_n(from, tap->width, tap->data + to * tap->width);
  }
  ++queue.waited;
  return {told.id, told.logprob, told.rank, told.entropy, told.lse, told.finite != 0};
}

void Cuda::ahead_end(float* logits) {
  use();
  Queue& queue = *queue_;
  check(cudaStreamSynchronize(stream_), "step");
  // Steps beyond a stop id have written over the logits; its own were kept.
  const bool over = queue.waited < queue.queued;
  download(logits, over ? queue.kept_logits.as<float>() : a.logits,
           static_cast<size_t>(c.vocab) * sizeof(float));
  queue.drop_graph();
  queue.places.clear();
  ahead_active_ = false;
}

}  // namespace moescope::cuda
