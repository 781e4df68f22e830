// Steps of decode on their way (`decode.cu`): where their row stands, what they use, and where they leave
// what the host reads.
#pragma once

#include <unordered_map>

#include "backend/cuda/launch.cuh"
#include "backend/cuda/memory.cuh"
#include "backend/cuda/sample.cuh"

namespace moescope::cuda {

/** Something that a tap keeps, copied at the end of the step. */
struct Late {
  const float* from;
  int64_t to;  // in the slot
  int count;
};

struct Queue {
  /** Steps that may be on their way: enough that the device never waits for the host. */
  static constexpr int slots = 4;

  explicit Queue(const Config& c) {
    const size_t layers = c.layers.size();
    row_memory.reserve(sizeof(Row), "decode");
    arrived.reserve(layers * static_cast<size_t>(c.kv_heads + 1) * sizeof(unsigned), "decode");
    routing.reserve(layers * static_cast<size_t>(routing_width(c)) * sizeof(float), "decode");
    attention_parts.reserve(static_cast<size_t>(decode_attention_floats(c)) * sizeof(float), "decode");
    parts.reserve(static_cast<size_t>(multiprocessors()) * sizeof(LogitPart), "decode");
    for (cudaEvent_t& e : done) check(cudaEventCreateWithFlags(&e, cudaEventDisableTiming), "event");
  }
  ~Queue() {
    drop_graph();
    for (const cudaEvent_t e : done) (void)cudaEventDestroy(e);
  }
  void drop_graph() {
    if (graph) (void)cudaGraphExecDestroy(graph);
    graph = nullptr;
  }
  /** Of the device's memory. */
  size_t bytes() const {
    size_t sum = 0;
    for (const auto* b : {&row_memory, &arrived, &routing, &attention_parts, &parts, &kept_logits, &mass,
                          &stop_ids, &variants, &late})
      sum += b->bytes();
    return sum;
  }
  Row* row() const { return row_memory.as<Row>(); }
  /** Logits, score and choice of a layer's router. */
  static int64_t routing_width(const Config& c) { return c.experts + 2; }

  struct Place {
    int64_t at;  // in the slot
    bool late;   // copied at the end
  };

  Buffer<In::device> row_memory, arrived, routing, attention_parts, parts, kept_logits, mass, stop_ids,
      variants, late;
  Buffer<In::pinned> slots_memory;
  cudaEvent_t done[slots] = {};
  cudaGraphExec_t graph = nullptr;

  Step step;
  Segment segment;
  Logits logits{};
  std::unordered_map<const Tap*, Place> places;
  int late_count = 0, queued = 0, waited = 0;
  bool profile = false;
};

}  // namespace moescope::cuda
