#include "model/logits.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/random.h"

namespace moescope {

LogitRow logit_row(const float* logits, int64_t vocab) {
  const double top = *std::max_element(logits, logits + vocab);
  double sum = 0, weighted = 0;
  for (int64_t i = 0; i < vocab; ++i) {
    const double shifted = logits[i] - top;
    const double e = std::exp(shifted);
    sum += e;
    if (e > 0) weighted += e * shifted;
  }
  const double log_sum = std::log(sum);
  return {static_cast<float>(top + log_sum), static_cast<float>(log_sum - weighted / sum)};
}

int32_t rank_of(const float* logits, int64_t vocab, int32_t target) {
  const float value = logits[target];
  int32_t rank = 0;
  for (int64_t i = 0; i < vocab; ++i) rank += logits[i] > value || (logits[i] == value && i < target);
  return rank;
}

int32_t sample_row(const float* logits, int64_t vocab, const Sampling& s, uint64_t n) {
  if (s.temperature <= 0) return static_cast<int32_t>(std::max_element(logits, logits + vocab) - logits);
  std::vector<int32_t> ids(static_cast<size_t>(vocab));
  std::iota(ids.begin(), ids.end(), 0);
  const auto likelier = [&](int32_t a, int32_t b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  };
  const size_t keep = s.top_k > 0 ? std::min(static_cast<size_t>(s.top_k), ids.size()) : ids.size();
  if (keep < ids.size()) {
    std::nth_element(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(keep), ids.end(), likelier);
    ids.resize(keep);
  }
  std::sort(ids.begin(), ids.end(), likelier);
  std::vector<double> mass(keep);
  const double top = logits[ids[0]];
  double sum = 0;
  for (size_t i = 0; i < keep; ++i) sum += mass[i] = std::exp((logits[ids[i]] - top) / s.temperature);
  size_t count = keep;
  if (s.top_p < 1) {
    double reached = 0;
    for (count = 0; count < keep && reached < s.top_p * sum; ++count) reached += mass[count];
    count = std::max<size_t>(count, 1);
    sum = std::accumulate(mass.begin(), mass.begin() + static_cast<std::ptrdiff_t>(count), 0.0);
  }
  double draw = uniform(s.seed, n) * sum;
  for (size_t i = 0; i < count; ++i) {
    draw -= mass[i];
    if (draw < 0) return ids[i];
  }
  return ids[count - 1];
}

}  // namespace moescope
