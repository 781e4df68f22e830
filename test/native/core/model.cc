// The exact path against the double twin, and the fast path against the exact one, at every site of random
// models.
#include <algorithm>
#include <cmath>

#include "check.h"
#include "int4_twin.h"
#include "suites.h"
#include "twin.h"

namespace {

using namespace fixture;

/** A capture as [row][head][key] without what a row cannot see, as the twin keeps patterns. */
std::vector<double> seen_only(const Captured& p, const Config& c) {
  const int64_t heads = p.shape[0], rows = p.shape[1], keys = p.shape[2];
  const float* x = p.data.as<float>();
  std::vector<double> out;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t first = c.chunks(p.layer) ? r / c.chunk * c.chunk : 0;
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t k = first; k <= r; ++k) out.push_back(x[(h * rows + r) * keys + k]);
  }
  return out;
}

std::vector<double> values_of(const Captured& c, const Config& config) {
  if (c.site == Site::attn_pattern) return seen_only(c, config);
  const float* x = c.data.as<float>();
  return {x, x + c.data.used() / sizeof(float)};
}

/** The narrowest difference between a chosen and a refused expert, so that a flip between paths can be told
 * from a fault. */
double margin(const twin::Sites& sites, const Config& c) {
  double least = 1e9;
  for (int l = 0; l < c.layer_count(); ++l) {
    if (!c.layers[static_cast<size_t>(l)].moe) continue;
    const auto& logits = sites.at(label(Site::router_logits, l));
    const size_t e = static_cast<size_t>(c.experts);
    for (size_t r = 0; r < logits.size(); r += e) {
      std::vector<double> row(logits.begin() + static_cast<std::ptrdiff_t>(r),
                              logits.begin() + static_cast<std::ptrdiff_t>(r + e));
      std::sort(row.rbegin(), row.rend());
      for (size_t k = 0; k < static_cast<size_t>(c.topk) && k + 1 < e; ++k)
        least = std::min(least, row[k] - row[k + 1]);
    }
  }
  return least;
}

void compare(const std::vector<double>& got, const std::vector<double>& want, double tolerance,
             const std::string& what, Site site) {
  if (!check::that(got.size() == want.size(), what + " has " + std::to_string(got.size()) + " values, not " +
                                                  std::to_string(want.size())))
    return;
  double scale = 1e-3, worst = 0;
  bool some = false;
  for (const double x : want) scale = std::max(scale, std::fabs(x));
  for (size_t i = 0; i < got.size(); ++i) {
    // Which of two equal weights is the largest is not pinned.
    if (site == Site::attn_summary && i % summary_width == 3) continue;
    worst = std::max(worst, std::isfinite(got[i]) ? std::fabs(got[i] - want[i]) / scale : 1e9);
    some |= got[i] != 0;
  }
  check::near(worst, 0, tolerance, what);
  check::that(some || scale <= 1e-3, what + " is all zero");
}

}  // namespace

void test_model() {
  int compared = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Draw draw{seed};
    const Config c = random_config(draw);
    const Values values = random_weights(c, draw);
    const std::vector<int32_t> ids = random_ids(c, draw, 1 + draw.below(45));
    for (const Format format : all_formats) {
      const twin::Sites want = twin::run(c, int4_twin::held(c, values, format), ids);
      if (margin(want, c) < 1e-5) continue;
      ++compared;
      for (const bool fast : {false, true}) {
        const auto loaded = load(c, values, fast, format);
        const RunResult r = forward(loaded, ids, every_site(c));
        const std::string path =
            "model " + std::to_string(seed) + (fast ? " fast " : " exact ") + name_of(format) + " ";
        for (const Captured& got : r.captures)
          compare(values_of(got, c), want.at(label(got.site, got.layer)), 1e-5,
                  path + label(got.site, got.layer), got.site);
        // Without taps other kernels run: the end must be the same.
        const RunResult bare = forward(loaded, ids, {{Site::logits, -1, {}, false, {}, {}}});
        compare(values_of(bare.captures[0], c), want.at("logits"), 1e-5, path + "untapped logits",
                Site::logits);

        const auto& logits = want.at("logits");
        const size_t vocab = static_cast<size_t>(c.vocab);
        for (size_t row = 0; row < ids.size(); ++row) {
          double top = -1e300, sum = 0, weighted = 0;
          for (size_t i = 0; i < vocab; ++i) top = std::max(top, logits[row * vocab + i]);
          for (size_t i = 0; i < vocab; ++i) {
            const double e = std::exp(logits[row * vocab + i] - top);
            sum += e;
            weighted += e * (logits[row * vocab + i] - top);
          }
          check::near(r.entropy.as<float>()[row], std::log(sum) - weighted / sum, 2e-4, path + "entropy");
          if (row + 1 < ids.size())
            check::near(r.logprob.as<float>()[row + 1],
                        logits[row * vocab + static_cast<size_t>(ids[row + 1])] - top - std::log(sum), 2e-4,
                        path + "logprob");
        }
        check::that(std::isnan(r.logprob.as<float>()[0]) && r.rank.as<int32_t>()[0] == -1,
                    path + "a first token has no logprob");
      }
    }
  }
  check::that(compared >= 150, "too many random models had narrow routing margins");
}
