// The CUDA backend against the exact path where the other suites do not reach: many random models with the
// routing of the exact run, so that narrow choices do not matter; models side by side; what ends while the
// device works.
#include <algorithm>
#include <cmath>
#include <limits>
#include <thread>

#include "check.h"
#include "fixture.h"
#include "suites.h"

namespace {

using namespace fixture;

/** Largest difference over the largest value; infinite where one is not finite or all is zero. */
double difference(const Captured& got, const Captured& want) {
  const size_t n = want.data.used() / 4;
  if (got.data.used() != want.data.used() || got.rows != want.rows || got.shape != want.shape)
    return std::numeric_limits<double>::infinity();
  const float *x = got.data.as<float>(), *y = want.data.as<float>();
  double scale = 1e-3, worst = 0;
  bool some = n == 0;
  for (size_t i = 0; i < n; ++i) {
    scale = std::max(scale, std::fabs(static_cast<double>(y[i])));
    some |= x[i] != 0 || y[i] == 0;
  }
  for (size_t i = 0; i < n; ++i) {
    if (want.site == Site::attn_summary && i % summary_width == 3)
      continue;  // which of equal weights is first
    const double d = std::fabs(static_cast<double>(x[i]) - y[i]);
    worst = std::max(worst, std::isfinite(d) ? d : 1e30);
  }
  return some ? worst / scale : std::numeric_limits<double>::infinity();
}

void random_models(int count) {
  double worst = 0;
  std::string where;
  for (int seed = 2000; seed < 2000 + count; ++seed) {
    Draw draw{static_cast<uint64_t>(seed)};
    const Config c = random_config(draw);
    const Values values = random_weights(c, draw);
    const Format format = all_formats[seed % 5];
    const auto want_from = load(c, values, false, format), got_from = load(c, values, true, format);
    const std::vector<int32_t> ids = random_ids(c, draw, 1 + draw.below(150));
    const int rows = static_cast<int>(ids.size()), tile = draw.below(2) ? 0 : 1 + draw.below(rows);
    const std::vector<CaptureSpec> all = every_site(c);
    const RunResult want = forward(want_from, ids, all);
    const RunResult got = forward(got_from, ids, all, {replay_of(want, c, rows)}, tile);
    for (const Captured& w : want.captures) {
      const double d = difference(find(got, w.site, w.layer), w);
      if (d > worst) {
        worst = d;
        where = "model " + std::to_string(seed) + " " + label(w.site, w.layer);
      }
      // QK norm makes a small head large and its rounding with it; what is computed from it only averages
      // over keys.
      const bool magnified = c.qk_norm && (w.site == Site::attn_q_used || w.site == Site::attn_k_used ||
                                           w.site == Site::attn_pattern || w.site == Site::attn_summary);
      // Of int4 a row's halves have 22 bits, and attention passes on what the norm of small heads has made of
      // it.
      const double bound = magnified ? 1e-4 : c.qk_norm && group_of(format) > 0 ? 2e-5 : 1e-5;
      check::that(d <= bound, "CUDA, model " + std::to_string(seed) + " tile " + std::to_string(tile) + " " +
                                  label(w.site, w.layer) + ": differs by " + std::to_string(d) +
                                  " of its scale");
    }
    for (int r = 1; r < rows; ++r)
      check::near(got.logprob.as<float>()[r], want.logprob.as<float>()[r], 1e-4, "logprob");
  }
  std::printf("largest difference %.2e of scale (%s)\n", worst, where.c_str());
}

/** Shapes beyond a tile of the products, and long rows of keys. */
void wide_model() {
  Draw draw{31};
  Config c = random_config(draw);
  c.vocab = 3001;
  c.d = 512;
  c.heads = 8;
  c.kv_heads = 2;
  c.head_dim = 64;
  c.ff = 328;
  c.ff_dense = 200;
  c.experts = 16;
  c.topk = 1;
  c.chunk = 160;
  c.rope = Rope::hf;
  set_frequencies(c, 500000);
  c.layers = {{true, true, true}, {true, true, false}, {false, false, true}};
  const Values values = random_weights(c, draw);
  const std::vector<int32_t> ids = random_ids(c, draw, 700);
  for (const Format format : {Format::f32, Format::bf16, Format::int4_32, Format::int4_128}) {
    const RunResult want = forward(load(c, values, false, format), ids, every_site(c));
    const RunResult got =
        forward(load(c, values, true, format), ids, every_site(c), {replay_of(want, c, 700)});
    for (const Captured& w : want.captures) {
      const double d = difference(find(got, w.site, w.layer), w);
      check::that(d <= 1e-5,
                  "CUDA, wide model " + label(w.site, w.layer) + ": differs by " + std::to_string(d));
    }
  }
}

/** Two models in two threads, each as when alone. */
void side_by_side() {
  const auto logits = [](uint64_t seed) {
    Draw draw{seed};
    const Config c = random_config(draw);
    const auto m = load(c, random_weights(c, draw), true);
    const std::vector<int32_t> ids = random_ids(c, draw, 90);
    std::vector<float> out;
    for (int i = 0; i < 20; ++i) {
      const RunResult r = forward(m, ids, {{Site::logits, -1, {}, false, {}, {}}}, {}, 16);
      const float* x = r.captures[0].data.as<float>();
      out.assign(x, x + r.captures[0].data.used() / 4);
    }
    return out;
  };
  const std::vector<float> a = logits(41), b = logits(42);
  std::vector<float> x, y;
  std::thread other([&] { x = logits(41); });
  y = logits(42);
  other.join();
  check::that(x == a && y == b, "two models at once give what each gives alone");
}

/** More than the device has is refused, and the next one runs. */
void memory() {
  Draw draw{43};
  const Config c = random_config(draw);
  const auto m = load(c, random_weights(c, draw), true);
  check::that(m->backend->free_bytes() > 0, "free memory is known");
  check::that(
      code_of([&] { m->backend->take(size_t{1} << 50, "a petabyte"); }) == static_cast<int>(Code::memory),
      "a petabyte is refused");
  const std::vector<int32_t> ids = random_ids(c, draw, 9);
  check::that(code_of([&] { forward(m, ids, {}); }) == -1, "and the model runs on");
  bool placed = false;
  for (const Model::Part& p : m->memory()) placed |= std::string(p.place) == "cuda" && p.bytes > 0;
  check::that(placed, "memory lies on the device");
}

}  // namespace

void test_cuda() {
  random_models(models_of(200));
  wide_model();
  side_by_side();
  memory();
}
