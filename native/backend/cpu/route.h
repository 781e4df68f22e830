// Which experts a row takes and with what score: spec section 2.4 (2, 3), and the routing edits. One rule for
// every backend: the tables may lie on a device, and the functions compile for one.
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>

#include "backend/backend.h"
#include "base/both.h"

namespace moescope {

/** 1 / (1 + e^-x) in fp32. */
MOESCOPE_BOTH inline float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

/** The largest of logits + bias that is not taken yet; equal ones go to the lowest index. NaN loses against
 * everything. */
MOESCOPE_BOTH inline int32_t best_expert(const float* logits, const float* bias, int experts,
                                         const int32_t* taken, int count) {
  int32_t best = -1;
  float best_value = 0;
  for (int32_t e = 0; e < experts; ++e) {
    bool used = false;
    for (int i = 0; i < count; ++i) used |= taken[i] == e;
    if (used) continue;
    const float value = bias ? logits[e] + bias[e] : logits[e];
    if (best < 0 || value > best_value || std::isnan(best_value)) {
      best = e;
      best_value = value;
    }
  }
  return best;
}

/** Fills choice and score, [topk] each, from the raw logits of row `r`. Biases and bans change the choice,
 * never the score. */
MOESCOPE_BOTH inline void route_row(const EditTables& e, int layers, int layer, int experts, int topk, int r,
                                    const float* logits, int32_t* choice, float* score) {
  const int64_t at = int64_t{e.variant ? e.variant[r] : 0} * layers + layer;
  const float* bias = e.bias ? e.bias + at * experts : nullptr;
  const int32_t* replay = e.replay ? e.replay + (int64_t{r} * layers + layer) * topk : nullptr;

  // Replayed slots stand; the others choose freely among the rest.
  bool replayed = false;
  for (int k = 0; k < topk; ++k) {
    choice[k] = replay ? replay[k] : -1;
    replayed |= choice[k] >= 0;
  }
  for (int k = 0; k < topk; ++k)
    if (choice[k] < 0) choice[k] = best_expert(logits, bias, experts, choice, topk);
  for (int k = 0; k < topk; ++k) score[k] = sigmoid(logits[choice[k]]);

  // A forced expert takes the first place; if it was chosen anyway, the two swap.
  if (!e.route || replayed) return;
  const RouteLaw& law = e.route[at];
  if (law.forced < 0) return;
  const float original = score[0];
  for (int k = 1; k < topk; ++k)
    if (choice[k] == law.forced) {
      choice[k] = choice[0];
      score[k] = score[0];
    }
  choice[0] = law.forced;
  switch (law.score) {
    case RouteLaw::Score::own:
      score[0] = sigmoid(logits[law.forced]);
      break;
    case RouteLaw::Score::original:
      score[0] = original;
      break;
    case RouteLaw::Score::constant:
      score[0] = law.value;
      break;
  }
}

inline void route_row(const Step& s, const Config& c, int layer, int r, const float* logits, int32_t* choice,
                      float* score) {
  route_row(s.edits, s.layers, layer, c.experts, c.topk, r, logits, choice, score);
}

}  // namespace moescope
