// What is known of a row of logits: two passes, the second of which makes the exponentials. A row of 200k
// logits is 800 KB and stays in the L2 cache between the passes; rows are shared out. One Zen 5 core,
// 2026-11-24: 64 rows of 202,048 in 4.9 ms, 10.6 GB/s; the exponentials bound it, not memory.
#pragma once

#include "kernels.h"
#include "rows.inl"
#include "simd.h"

namespace moescope::kernels {
namespace {

/** The largest of a row and its lowest index. */
static float row_max(const float* z, int64_t n, int64_t* index) {
  Vec best = splat(-__builtin_inff());
  IVec at = {};
  int64_t i = 0;
  IVec here = iota();
  for (; i + lanes <= n; i += lanes, here += lanes) {
    const Vec v = load(z + i);
    const IVec more = v > best;
    best = select(more, v, best);
    at = select(more, here, at);
  }
  float top = max(best);
  int64_t where = i > 0 ? min(select(best == splat(top), at, isplat(INT32_MAX))) : -1;
  for (; i < n; ++i)
    if (z[i] > top || where < 0) top = z[i], where = i;
  *index = where;
  return top;
}

static void row_stats(const float* z, int64_t n, const LogitStats& s, int64_t r) {
  int64_t top = 0;
  const float m = row_max(z, n, &top);
  if (s.argmax) s.argmax[r] = static_cast<int32_t>(top);
  const int64_t target = s.target ? s.target[r] : -1;
  const bool asked = target >= 0 && target < n;
  const float own = asked ? z[target] : 0.f;
  double total = 0, weighted = 0;
  int64_t above = 0;
  for (int64_t from = 0; from < n; from += 4096) {  // short vector sums, joined in double
    const int64_t to = least(n, from + 4096);
    Vec sum_e = {}, sum_ex = {};
    IVec count = {};
    for (int64_t i = from; i < to; i += lanes) {
      const bool whole = to - i >= lanes;
      const Vec v = whole ? load(z + i) : load_part(z + i, to - i, -__builtin_inff());
      const Vec x = v - splat(m), e = vexp_negative(x);
      sum_e += e;
      sum_ex += select(e > splat(0.f), e * x, e);  // keeps a NaN, drops 0 * -inf
      if (asked)
        count -= (v > splat(own)) |
                 ((v == splat(own)) & (iota() + static_cast<int32_t>(i) < static_cast<int32_t>(target)));
    }
    total += static_cast<double>(sum(sum_e));
    weighted += static_cast<double>(sum(sum_ex));
    above += sum(count);
  }
  const double log_total = __builtin_log(total);
  if (s.lse) s.lse[r] = static_cast<float>(static_cast<double>(m) + log_total);
  if (s.entropy) s.entropy[r] = static_cast<float>(log_total - weighted / total);
  if (s.logprob)
    s.logprob[r] = asked ? static_cast<float>(static_cast<double>(own) - static_cast<double>(m) - log_total)
                         : __builtin_nanf("");
  if (s.rank) s.rank[r] = asked ? static_cast<int32_t>(above) : -1;
}

static bool logit_stats(const Run& run, const float* logits, int64_t stride, int64_t rows, int64_t vocab,
                        const LogitStats& stats) {
  return over_rows(run, rows, 4 * vocab, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) row_stats(logits + r * stride, vocab, stats, r);
  });
}

}  // namespace
}  // namespace moescope::kernels
