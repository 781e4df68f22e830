// What is known of a row of logits without keeping it, and the next id drawn from it.
#pragma once

#include <cstdint>

#include "backend/backend.h"

namespace moescope {

struct LogitRow {
  float lse = 0;      // log of the sum of exponentials
  float entropy = 0;  // nats
};
LogitRow logit_row(const float* logits, int64_t vocab);

/** How many ids are more likely than `target`; equal logits rank by lower id. */
int32_t rank_of(const float* logits, int64_t vocab, int32_t target);

/**
 * Greedy (temperature 0): the lowest of the largest. Else softmax of logits / temperature over the top_k
 * largest (lower id first among equal ones), cut to the smallest set whose probability reaches top_p, drawn
 * by inversion with the uniform number Philox(seed, n): the same seed gives the same ids on every machine
 * whose exp agrees.
 */
int32_t sample_row(const float* logits, int64_t vocab, const Sampling&, uint64_t n);

}  // namespace moescope
