// What is known of a row of logits without keeping it, and the next id drawn from it.
#pragma once

#include <cstdint>
#include <vector>

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
 * Draws the next id. Greedy (temperature 0): the lowest of the largest. Else from softmax(logits /
 * temperature), limited to the top_k largest and then to the smallest set of the likeliest whose probability
 * reaches top_p (of equal ones, lower ids first), by inversion with the uniform number Philox(seed, n).
 * Exponentials are its own, so the same logits, seed and n give the same id on every machine.
 */
class Sampler {
 public:
  int32_t draw(const float* logits, int64_t vocab, const Sampling&, uint64_t n);

 private:
  int32_t least_likely_kept(const float* logits, const Sampling&);

  std::vector<double> mass_;
  std::vector<int32_t> ids_;
};

}  // namespace moescope
