// What is known of a decoded row's logits, and the next id drawn from them, without the host (`sample.cu`).
#pragma once

#include "backend/backend.h"
#include "backend/cuda/decode.cuh"

namespace moescope::cuda {

/** Of the logits of one row, by a block. */
struct LogitPart {
  double sum, weighted;  // of e^(x - top), and of that times (x - top)
  float top;
  int32_t best;
};

/** What the host is told of a step, at the beginning of its slot of the ring. */
struct Told {
  int32_t id;
  float logprob;
  int32_t rank;
  float entropy, lse;
  int32_t finite;
};

/** Slots of the ring in which steps leave what the host reads. */
struct Ring {
  std::byte* at = nullptr;  // pinned
  int slots = 1;
  int64_t bytes = 0;  // of a slot
  __device__ std::byte* slot(const Row& row) const { return at + row.step % slots * bytes; }
};

struct Logits {
  Row* row;
  float* logits;
  float* kept;               // those of a row with a stop id, which later steps do not touch
  unsigned long long* mass;  // [vocab], scratch of sampling
  LogitPart* parts;
  const int32_t* stop_ids;
  const uint16_t* variants;  // of each step; null: 0
  int32_t* bad;              // [bad_count]
  Ring ring;
  Sampling sampling;
  int stop_count, bad_count, vocab;
};

/** The next id, from the logits of the row before. */
void launch_draw(const Logits&, cudaStream_t);
/** Lse, entropy and the likeliest id of the logits. `told`: and the row is over: the host is told, the
 * sequence moves on. */
void launch_know(const Logits&, bool told, cudaStream_t);

}  // namespace moescope::cuda
