// The CUDA backend's fast mode: bf16 products on the tensor cores beside its exact mode; decode in fused
// kernels and queued ahead beside the verbs, token by token; sampling on the device beside the host's; stored
// weights beside the CPU's, bit for bit.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/int4.h"
#include "check.h"
#include "fixture.h"
#include "model/logits.h"
#include "suites.h"

namespace {

using namespace fixture;

constexpr Format int4s[] = {Format::int4_32, Format::int4_64, Format::int4_128};

/** Shapes that the fused kernels take, none of them round. */
Config fused_config(Draw& draw, bool moe_only = false) {
  Config c;
  c.vocab = 400 + draw.below(400) * 4;
  c.d = 8 * (9 + draw.below(40));
  c.head_dim = 32 << draw.below(3);
  c.kv_heads = 1 + draw.below(3);
  c.heads = c.kv_heads * (1 + draw.below(5));
  c.ff = 8 * (3 + draw.below(30));
  c.ff_dense = 8 * (3 + draw.below(40));
  c.experts = 1 + draw.below(12);
  c.topk = 1;
  c.chunk = draw.below(4) == 0 ? 0 : 3 + draw.below(60);
  c.qk_norm = draw.below(2);
  c.temperature_tuning = draw.below(3) > 0;
  c.floor_scale = 2 + draw.below(9);
  c.attn_scale = 0.3;
  c.tied_embeddings = draw.below(4) == 0;
  c.rope = draw.below(2) ? Rope::hf : Rope::accurate;
  set_frequencies(c);
  const int layers = 2 + draw.below(3);
  for (int l = 0; l < layers; ++l) {
    const bool rope = draw.below(3) > 0;
    c.layers.push_back({rope, rope ? draw.below(4) > 0 : false, moe_only || draw.below(3) > 0});
  }
  return c;
}

std::shared_ptr<Model> fast_model(const Config& c, const Values& values, Format format) {
  cuda_is_fast = true;
  const auto model = load(c, values, true, format);
  cuda_is_fast = false;
  return model;
}

/** Root of the mean square of the difference over that of what is wanted; infinite where something is not
 * finite or missing. */
double relative(const Captured& got, const Captured& want) {
  const size_t n = want.data.used() / 4;
  if (got.data.used() != want.data.used() || got.rows != want.rows) return 1e30;
  const float *x = got.data.as<float>(), *y = want.data.as<float>();
  double wrong = 0, all = 1e-12;
  for (size_t i = 0; i < n; ++i) {
    if (!std::isfinite(x[i])) return 1e30;
    wrong += (static_cast<double>(x[i]) - y[i]) * (static_cast<double>(x[i]) - y[i]);
    all += static_cast<double>(y[i]) * y[i];
  }
  return std::sqrt(wrong / all);
}

/** Mean Kullback-Leibler divergence of the next token's distribution over rows. */
double divergence(const Captured& got, const Captured& want, int vocab) {
  const size_t rows = want.rows.size(), v = static_cast<size_t>(vocab);
  double sum = 0;
  for (size_t r = 0; r < rows; ++r) {
    const float *p = want.data.as<float>() + r * v, *q = got.data.as<float>() + r * v;
    const double lp = logit_row(p, vocab).lse, lq = logit_row(q, vocab).lse;
    for (size_t i = 0; i < v; ++i) sum += std::exp(p[i] - lp) * ((p[i] - lp) - (q[i] - lq));
  }
  return sum / static_cast<double>(rows);
}

/** Weights of a random model as the device has them, and as the CPU's rule gives them. */
void stored() {
  Draw draw{51};
  for (int i = 0; i < models_of(6); ++i) {
    const Config c = fused_config(draw);
    Values values = random_weights(c, draw);
    // Groups that are nothing, all alike, beyond f16, or almost nothing.
    std::vector<float>& odd = values.begin()->second;
    for (size_t j = 0; j < odd.size(); ++j)
      if (j / 16 % 7 == 3)
        odd[j] = j / 112 % 4 == 0   ? 0.0f
                 : j / 112 % 4 == 1 ? -0.5f
                 : j / 112 % 4 == 2 ? odd[j] * 1e7f
                                    : odd[j] * 1e-7f;
    for (const Format format : int4s) {
      const auto model = fast_model(c, values, format);
      bool same = true;
      for (const Slot& s : model->slots) {
        const Matrix& m = *s.matrix;
        if (group_of(m.format) == 0) continue;
        const Int4Layout at{m.rows, m.cols, group_of(m.format)};
        std::vector<std::byte> bytes(at.bytes());
        const std::vector<float>& v = values.at(s.name);
        for (int64_t r = 0; r < m.rows; ++r)
          for (int64_t col = 0; col < m.cols; col += at.group)
            int4_store_group(bytes.data(), at, r, col,
                             [&](int64_t x) { return v[static_cast<size_t>(r * m.cols + x)]; });
        std::vector<float> got(v.size());
        model->backend->unpack(m, got.data(), 0, m.rows);
        for (int64_t r = 0; r < m.rows; ++r)
          for (int64_t col = 0; col < m.cols; ++col) {
            const float want = int4_element(bytes.data(), at, r, col);
            same &= std::memcmp(&want, &got[static_cast<size_t>(r * m.cols + col)], 4) == 0;
          }
      }
      check::that(same, std::string("CUDA stores the CPU's bits, ") + name_of(format) + ", model " +
                            std::to_string(i));
    }
  }
  // Random weights, drawn there and here.
  const Config c = fused_config(draw);
  for (const Format format : {Format::f32, Format::bf16, Format::int4_32}) {
    const auto drawn = [&](bool cuda) {
      LoadSpec spec;
      spec.config = c;
      spec.format = format;
      spec.cuda = cuda;
      spec.random = LoadSpec::Random{77, 0.02};
      Control control;
      return std::shared_ptr<Model>(load_model(spec, control));
    };
    const auto here = drawn(false), there = drawn(true);
    bool same = true;
    for (size_t s = 0; s < here->slots.size(); ++s) {
      const Matrix &a = *here->slots[s].matrix, &b = *there->slots[s].matrix;
      std::vector<float> x(static_cast<size_t>(a.rows * a.cols)), y(x.size());
      here->backend->unpack(a, x.data(), 0, a.rows);
      there->backend->unpack(b, y.data(), 0, b.rows);
      same &= std::memcmp(x.data(), y.data(), x.size() * 4) == 0;
    }
    check::that(same, std::string("CUDA draws the CPU's random weights, ") + name_of(format));
  }
}

/** Prefill in fast mode beside exact mode, with the exact run's routing: bf16's rounding and no more. */
void rounding() {
  double worst = 0, worst_kl = 0;
  std::string where;
  for (int seed = 3000; seed < 3000 + models_of(40); ++seed) {
    Draw draw{static_cast<uint64_t>(seed)};
    Config c = fused_config(draw);
    // Widths that are a multiple of 4 and not of 8: then only some of a layer's products are cuBLASLt's.
    if (seed % 5 == 1) c.d += 4;
    if (seed % 5 == 3) c.ff += 4, c.ff_dense += 4;
    const Values values = random_weights(c, draw);
    const Format format = seed % 4 == 0 ? Format::bf16 : int4s[seed % 4 - 1];
    const auto exact = load(c, values, true, format), fast = fast_model(c, values, format);
    const std::vector<int32_t> ids = random_ids(c, draw, 20 + draw.below(280));
    // The summary goes through the exact mode's attention kernel: without it the fast one runs.
    std::vector<CaptureSpec> sites = every_site(c);
    if (seed % 2) std::erase_if(sites, [](const CaptureSpec& s) { return s.site == Site::attn_summary; });
    const RunResult want = forward(exact, ids, sites);
    const RunResult got = forward(fast, ids, sites, {replay_of(want, c, static_cast<int>(ids.size()))});
    for (const Captured& w : want.captures) {
      if (w.site == Site::attn_summary) continue;  // holds positions
      const double d = relative(find(got, w.site, w.layer), w);
      if (d > worst) {
        worst = d;
        where = "model " + std::to_string(seed) + " " + label(w.site, w.layer);
      }
      check::that(d <= 0.03, "CUDA fast, model " + std::to_string(seed) + " " + name_of(format) + " " +
                                 label(w.site, w.layer) + ": differs by " + std::to_string(d));
    }
    const double kl = divergence(find(got, Site::logits, -1), find(want, Site::logits, -1), c.vocab);
    worst_kl = std::max(worst_kl, kl);
    check::that(kl <= 1e-3, "CUDA fast, model " + std::to_string(seed) + ": KL " + std::to_string(kl));
  }
  std::printf("fast prefill: largest RMS difference %.2e (%s), largest KL %.2e\n", worst, where.c_str(),
              worst_kl);
}

Generation generation(int tokens, double temperature = 0, uint64_t seed = 1) {
  Generation g;
  g.max_tokens = tokens;
  g.sampling.temperature = temperature;
  g.sampling.seed = seed;
  return g;
}

/** An edit that does nothing, but asks for ids: the host goes token by token. */
Edit by_hand(const Config& c) {
  Edit e;
  e.op = Edit::Op::bias;
  e.layers.assign(c.layers.size(), 1);
  e.rows.ids = std::vector<int32_t>{-5, -4};
  return e;
}

/** What lies between the fused kernels. */
std::vector<CaptureSpec> between(const Config& c) {
  std::vector<CaptureSpec> sites;
  for (const CaptureSpec& s : every_site(c))
    for (const Site site :
         {Site::embed, Site::resid_pre, Site::attn_q, Site::attn_k, Site::attn_v, Site::attn_z,
          Site::resid_mid, Site::router_logits, Site::router_score, Site::router_choice, Site::expert_act,
          Site::shared_act, Site::mlp_act, Site::resid_post, Site::logits})
      if (s.site == site) sites.push_back(s);
  return sites;
}

void same_run(const RunResult& got, const RunResult& want, const std::string& what, double bound) {
  check::that(got.ids == want.ids, what + ": the same tokens");
  check::that(std::string(got.reason) == want.reason, what + ": the same end");
  if (got.ids != want.ids) return;
  for (int64_t r = 0; r < want.rows; ++r) {
    check::near(got.entropy.as<float>()[r], want.entropy.as<float>()[r], 1e-3, what + ": entropy");
    if (r == 0) continue;
    // Keys and values are kept in bf16: where one lies between two of its numbers, f32's last bit decides.
    check::near(got.logprob.as<float>()[r], want.logprob.as<float>()[r], 2e-3, what + ": logprob");
    check::that(got.rank.as<int32_t>()[r] == want.rank.as<int32_t>()[r], what + ": rank");
  }
  for (const Captured& w : want.captures) {
    const double d = relative(find(got, w.site, w.layer), w);
    check::that(d <= bound, what + " " + label(w.site, w.layer) + ": differs by " + std::to_string(d));
  }
}

/** Decode ahead of the host beside decode by its verbs, in every combination of what is watched. */
void ahead() {
  for (int seed = 4000; seed < 4000 + models_of(60); ++seed) {
    Draw draw{static_cast<uint64_t>(seed)};
    const Config c = fused_config(draw);
    const Values values = random_weights(c, draw);
    const Format format = seed % 5 == 0 ? Format::bf16 : int4s[seed % 3];
    const auto model = fast_model(c, values, format);
    const std::vector<int32_t> ids = random_ids(c, draw, 1 + draw.below(40));
    const int tokens = 1 + draw.below(40);
    const std::vector<CaptureSpec> sets[] = {{}, between(c), every_site(c)};
    std::vector<Edit> edits;
    if (seed % 2) {
      Edit e;
      e.op = Edit::Op::site;
      e.site = Site::resid_post;
      e.kind = SiteEdit::Kind::scale;
      e.amount = 0.9f;
      e.layers.assign(c.layers.size(), 1);
      e.rows.step = std::vector<int32_t>{2, 5, 9, 11};
      edits.push_back(e);
      e = Edit();
      e.op = Edit::Op::bias;
      e.layers.assign(c.layers.size(), 1);
      e.expert = draw.below(c.experts);
      e.delta = 0.5f;
      edits.push_back(e);
      e = Edit();
      e.op = Edit::Op::temperature;
      e.layers.assign(c.layers.size(), 1);
      e.law = {TemperatureLaw::Kind::floor, 3, 0.4};
      e.rows.position = std::vector<int32_t>{static_cast<int32_t>(ids.size()) + 3, 1 << 20};
      edits.push_back(e);
    }
    for (size_t k = 0; k < 3; ++k) {
      std::vector<CaptureSpec> sites = sets[k];
      const bool pattern = seed % 3 == 0;  // which only the verbs keep
      if (!pattern) std::erase_if(sites, [](const CaptureSpec& s) { return s.site == Site::attn_pattern; });
      std::erase_if(sites, [](const CaptureSpec& s) { return s.site == Site::attn_summary; });
      RunSpec spec = spec_of({ids}, sites);
      spec.generation = generation(tokens);
      spec.edits = edits;
      const int64_t context = static_cast<int64_t>(ids.size()) + tokens;
      State one(model, 1, context), two(model, 1, context);
      const RunResult got = forward(one, spec);
      spec.edits.push_back(by_hand(c));
      const RunResult want = forward(two, spec);
      const std::string what =
          "CUDA ahead, model " + std::to_string(seed) + " " + name_of(format) + " set " + std::to_string(k);
      same_run(got, want, what, 1e-3);
      check::that(one.position == two.position, what + ": the same position");
    }
  }
}

/** A stop id ends it; the steps that were on their way leave no trace. */
void stopping() {
  for (int seed = 5000; seed < 5000 + models_of(30); ++seed) {
    Draw draw{static_cast<uint64_t>(seed)};
    Config c = fused_config(draw);
    if (c.chunk > 0) c.chunk = 2 + draw.below(6);  // steps beyond the end reach into the next chunk
    const Values values = random_weights(c, draw);
    const auto model = fast_model(c, values, seed % 4 == 0 ? Format::bf16 : int4s[seed % 3]);
    const std::vector<int32_t> ids = random_ids(c, draw, 1 + draw.below(20));
    RunSpec spec = spec_of({ids});
    spec.generation = generation(24, 0.9, static_cast<uint64_t>(seed));
    State free(model, 1, 200);
    const RunResult whole = forward(free, spec);
    const int at = draw.below(static_cast<int>(whole.ids.size()));
    spec.generation->stop_ids = {whole.ids[static_cast<size_t>(at)], -7};
    State one(model, 1, 200), two(model, 1, 200);
    const RunResult got = forward(one, spec);
    const std::string what = "CUDA ahead, stop, model " + std::to_string(seed);
    check::that(std::string(got.reason) == "stop" && !got.ids.empty() &&
                    got.ids.back() == spec.generation->stop_ids[0],
                what + ": ends at the stop id");
    check::that(std::equal(got.ids.begin(), got.ids.end(), whole.ids.begin()),
                what + ": the same tokens until then");
    // On from there, beside a sequence that never went further.
    std::vector<int32_t> all = ids;
    all.insert(all.end(), got.ids.begin(), got.ids.end());
    RunSpec once = spec_of({ids});
    forward(two, once);
    for (const int32_t id : got.ids) forward(two, spec_of({{id}}));
    const std::vector<int32_t> more = random_ids(c, draw, 1 + draw.below(8));
    const RunResult a = forward(one, spec_of({more}, {{Site::logits, -1, {}, false, {}, {}}})),
                    b = forward(two, spec_of({more}, {{Site::logits, -1, {}, false, {}, {}}}));
    const double d = relative(a.captures[0], b.captures[0]);
    check::that(d <= 1e-3, what + ": goes on as if it had been run so (" + std::to_string(d) + ")");
    check::near(a.logprob.as<float>()[0], b.logprob.as<float>()[0], 2e-3, what + ": the kept logits");
  }
}

/** The same logits, seed and limits: the host's draw. */
void sampling() {
  Draw draw{61};
  Config c = fused_config(draw);
  c.vocab = 5000;
  const Values values = random_weights(c, draw);
  const auto model = fast_model(c, values, Format::int4_32);
  const std::vector<int32_t> ids = random_ids(c, draw, 12);
  Sampler sampler;
  int same = 0, count = 0;
  for (int i = 0; i < models_of(300); ++i) {
    State state(model, 1, 20);
    forward(state, spec_of({ids}));
    const std::vector<float> logits(state.last(0), state.last(0) + c.vocab);
    RunSpec spec = spec_of({{}});
    spec.generation = generation(1, 0.3 + draw.uniform() * 2, static_cast<uint64_t>(i));
    if (i % 3 > 0) spec.generation->sampling.top_p = 0.05 + 0.94 * draw.uniform();
    if (i % 4 > 1) spec.generation->sampling.top_k = 1 + draw.below(300);
    const RunResult r = forward(state, spec);
    const int32_t want = sampler.draw(logits.data(), c.vocab, spec.generation->sampling, 0);
    ++count;
    same += r.ids[0] == want;
    check::that(r.rank.as<int32_t>()[0] == rank_of(logits.data(), c.vocab, r.ids[0]), "CUDA sampling: rank");
    const LogitRow row = logit_row(logits.data(), c.vocab);
    check::near(r.logprob.as<float>()[0], logits[static_cast<size_t>(r.ids[0])] - row.lse, 1e-4,
                "CUDA sampling: logprob");
  }
  check::that(same == count,
              "CUDA sampling draws the host's ids: " + std::to_string(same) + " of " + std::to_string(count));
}

}  // namespace

void test_cuda_fast() {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  stored();
  rounding();
  ahead();
  stopping();
  sampling();
}
