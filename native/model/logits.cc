#include "model/logits.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "base/random.h"

namespace moescope {
namespace {

/** e^x for x <= 0 within 1e-13, in operations that are rounded alike everywhere and that become vector code:
 * 2^n * e^r with |r| <= ln(2) / 2, n by the trick of adding 1.5 * 2^52. Below -700: 0. */
double exp_down(double x) {
  const double shifted = x * 1.4426950408889634 + 0x1.8p52;
  const double n = shifted - 0x1.8p52;
  const double r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
  double sum = 1.0 / 479001600;
  constexpr double inverse_factorials[] = {1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
                                           1.0 / 5040,     1.0 / 720,     1.0 / 120,    1.0 / 24,
                                           1.0 / 6,        0.5,           1.0,          1.0};
  for (const double c : inverse_factorials) sum = sum * r + c;
  const uint64_t bits = std::bit_cast<uint64_t>(sum) + (std::bit_cast<uint64_t>(shifted) << 52);
  return x < -700 ? 0.0 : std::bit_cast<double>(bits);
}

}  // namespace

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
  int32_t above = 0, equal = 0;
  for (int64_t i = 0; i < vocab; ++i) above += logits[i] > value;
  for (int64_t i = 0; i < target; ++i) equal += logits[i] == value;
  return above + equal;
}

int32_t Sampler::draw(const float* logits, int64_t vocab, const Sampling& s, uint64_t n) {
  const float* best = std::max_element(logits, logits + vocab);
  if (s.temperature <= 0) return static_cast<int32_t>(best - logits);
  const size_t count = static_cast<size_t>(vocab);
  const double top = *best, factor = 1 / s.temperature;
  mass_.resize(count);
  for (size_t i = 0; i < count; ++i) mass_[i] = exp_down((logits[i] - top) * factor);

  const int32_t last = least_likely_kept(logits, s);
  const auto kept = [&](int32_t i) {
    return last < 0 || logits[i] > logits[last] || (logits[i] == logits[last] && i <= last);
  };
  double sum = 0;
  for (int32_t i = 0; i < vocab; ++i) sum += kept(i) ? mass_[static_cast<size_t>(i)] : 0;
  double draw = uniform(s.seed, n) * sum;
  for (int32_t i = 0; i < vocab; ++i)
    if (kept(i) && (draw -= mass_[static_cast<size_t>(i)]) < 0) return i;
  return static_cast<int32_t>(best - logits);
}

/** The least likely id that top_k and top_p leave; -1: they leave all. Nothing is sorted: halving the
 * candidates around their median takes time in proportion to the vocabulary. */
int32_t Sampler::least_likely_kept(const float* logits, const Sampling& s) {
  const size_t count = mass_.size();
  const bool limited = s.top_k > 0 && static_cast<size_t>(s.top_k) < count;
  if (!limited && s.top_p >= 1) return -1;
  const auto likelier = [&](int32_t a, int32_t b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  };
  const auto sum_of = [&](size_t from, size_t to) {
    double sum = 0;
    for (size_t i = from; i < to; ++i) sum += mass_[static_cast<size_t>(ids_[i])];
    return sum;
  };
  const auto halve = [&](size_t from, size_t at, size_t to) {
    const auto begin = ids_.begin();
    std::nth_element(begin + static_cast<std::ptrdiff_t>(from), begin + static_cast<std::ptrdiff_t>(at),
                     begin + static_cast<std::ptrdiff_t>(to), likelier);
  };
  // Ids below the floor have less than 1 - top_p together: top_p does not reach them.
  double sum = std::accumulate(mass_.begin(), mass_.end(), 0.0);
  const double floor = limited ? 0 : sum * (1 - s.top_p) / static_cast<double>(count);
  ids_.clear();
  for (size_t i = 0; i < count; ++i)
    if (mass_[i] >= floor) ids_.push_back(static_cast<int32_t>(i));
  size_t kept = ids_.size();
  if (limited) {
    kept = static_cast<size_t>(s.top_k);
    halve(0, kept - 1, ids_.size());
    sum = sum_of(0, kept);
  }
  if (s.top_p < 1) {
    // The likeliest [0, from) do not reach top_p, the likeliest [0, kept) do.
    double reached = 0;
    for (size_t from = 0; kept - from > 1;) {
      const size_t middle = from + (kept - from) / 2;
      halve(from, middle, kept);
      const double more = sum_of(from, middle);
      if (reached + more >= s.top_p * sum) {
        kept = middle;
      } else {
        reached += more;
        from = middle;
      }
    }
  }
  const auto end = ids_.begin() + static_cast<std::ptrdiff_t>(kept);
  return *std::max_element(ids_.begin(), end, likelier);
}

}  // namespace moescope
