// The state of an online softmax over keys, with the statistics that ride along (milakov & gimelshein 2018;
// each statistic is a sum weighted by e^(s-m), so it is rescaled with the denominator when a larger score
// comes).
#pragma once

#include "kernels.h"

namespace moescope::kernels {
namespace {

/** Of one query row and head over some of its keys. `spread` sums e^(s-m) (s-m), so that the entropy, ln l -
 * spread / l, loses nothing when scores are large. The fields with `off` are of scores divided by the
 * temperature. */
struct Soft {
  float m = -1e30f, l = 0, spread = 0, l_off = 0, spread_off = 0, distance = 0, local = 0, sink = 0;
  int32_t argmax = -1;
};

/** `a` over its keys and then over the later ones of `b`; returns what multiplies a's and b's weighted sums.
 */
static void join(Soft& a, const Soft& b, float temperature, float* keep, float* take) {
  const bool larger = b.m > a.m;
  const float m = larger ? b.m : a.m;
  const float fa = __builtin_expf(a.m - m), fb = __builtin_expf(b.m - m);
  const float oa = __builtin_expf((a.m - m) / temperature), ob = __builtin_expf((b.m - m) / temperature);
  a.spread = fa * (a.spread + a.l * (a.m - m)) + fb * (b.spread + b.l * (b.m - m));
  a.spread_off = oa * (a.spread_off + a.l_off * ((a.m - m) / temperature)) +
                 ob * (b.spread_off + b.l_off * ((b.m - m) / temperature));
  a.l = fa * a.l + fb * b.l;
  a.l_off = oa * a.l_off + ob * b.l_off;
  a.distance = fa * a.distance + fb * b.distance;
  a.local = fa * a.local + fb * b.local;
  a.sink = fa * a.sink + fb * b.sink;
  if (larger) a.argmax = b.argmax;
  a.m = m;
  *keep = fa;
  *take = fb;
}

static void finish(const Attention& a, int64_t row, int head, const Soft& s) {
  const int64_t at = row * a.heads + head;
  const float temperature = a.temperature ? a.temperature[row] : 1.f;
  if (a.lse) a.lse[at] = s.m + __builtin_logf(s.l);
  if (!a.stats) return;
  float* out = a.stats + at * stat_count;
  const float inverse = 1.f / s.l;
  out[stat_entropy] = __builtin_logf(s.l) - s.spread * inverse;
  out[stat_entropy_off] =
      temperature == 1.f ? out[stat_entropy] : __builtin_logf(s.l_off) - s.spread_off / s.l_off;
  out[stat_max] = inverse;
  out[stat_argmax] = static_cast<float>(s.argmax);
  out[stat_sink] = s.sink * inverse;
  out[stat_local] = s.local * inverse;
  out[stat_distance] = s.distance * inverse;
}

}  // namespace
}  // namespace moescope::kernels
