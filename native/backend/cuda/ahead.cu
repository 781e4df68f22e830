// Steps of decode ahead of the host: the first runs as it is, the second is recorded as a graph, and a few
// are kept queued. What a step is asked to keep goes into its slot of a ring in pinned memory, straight from
// the kernels; the host waits for the event of the oldest step only.
#include <algorithm>

#include "backend/cuda/cuda.cuh"
#include "backend/cuda/queue.cuh"

namespace moescope::cuda {
namespace {

constexpr int threads = 256;

/** One tap, some groups of a site. */
__global__ void keep_one(const float* values, const int32_t* groups, int count, int width,
                         const int32_t* choice, int topk, int64_t at, const Row* row, Ring ring) {
  float* to = reinterpret_cast<float*>(ring.slot(*row) + at);
  for (int i = static_cast<int>(threadIdx.x); i < count * width; i += threads)
    to[i] = values[groups[i / width] * width + i % width];
  int32_t* chosen = reinterpret_cast<int32_t*>(to + count * width);
  for (int i = static_cast<int>(threadIdx.x); choice && i < topk; i += threads) chosen[i] = choice[i];
}

}  // namespace

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
    deliver_row(*tap, to, from, reinterpret_cast<const int32_t*>(from + tap->width), c.topk);
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
  count_scratch();
  queue.places.clear();
  ahead_active_ = false;
}

}  // namespace moescope::cuda
