// Every edit: what it does shows in the captured value of its site, rows and layers outside of its filter
// keep their bits.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "check.h"
#include "fixture.h"
#include "suites.h"

namespace {

using namespace fixture;

/** Three layers, one of each kind that matters: chunked MoE, dense, global NoPE MoE. */
Config small_config(int topk) {
  Config c;
  c.vocab = 50;
  c.d = 36;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_dim = 10;
  c.ff = 24;
  c.ff_dense = 33;
  c.experts = 5;
  c.topk = topk;
  c.chunk = 8;
  c.qk_norm = true;
  c.temperature_tuning = true;
  c.floor_scale = 3;
  c.attn_scale = 0.5;
  set_frequencies(c);
  c.layers = {{true, true, true}, {true, true, false}, {false, false, true}};
  return c;
}

struct Bench {
  Config c;
  Values values;
  std::shared_ptr<Model> model;
  std::vector<int32_t> ids;
  std::vector<CaptureSpec> all;
  RunResult base;
  std::string what;

  Bench(int topk, bool fast) : c(small_config(topk)) {
    Draw draw{78};
    values = random_weights(c, draw);
    model = load(c, values, fast);
    ids = random_ids(c, draw, 20);
    all = every_site(c);
    base = forward(model, ids, all);
    what = std::string(fast ? "fast" : "exact") + " top-" + std::to_string(topk) + ": ";
  }
  RunResult run(std::vector<Edit> edits) const { return forward(model, ids, all, std::move(edits)); }
  Edit edit(Edit::Op op, std::vector<int> layers) const {
    Edit e;
    e.op = op;
    e.layers.resize(c.layers.size());
    for (const int l : layers) e.layers[static_cast<size_t>(l)] = 1;
    return e;
  }
  Edit site(Site s, int layer, SiteEdit::Kind kind) const {
    Edit e = edit(Edit::Op::site, layer < 0 ? std::vector<int>{} : std::vector<int>{layer});
    e.site = s;
    e.kind = kind;
    return e;
  }
  /** Row r of a capture. */
  const float* row(const RunResult& run, Site s, int layer, int r, size_t* width = nullptr) const {
    const Captured& x = find(run, s, layer);
    const size_t w = x.data.used() / 4 / ids.size();
    if (width) *width = w;
    return x.data.as<float>() + static_cast<size_t>(r) * w;
  }
  bool same_row(const RunResult& a, const RunResult& b, Site s, int layer, int r) const {
    size_t w = 0;
    const float* x = row(a, s, layer, r, &w);
    return std::memcmp(x, row(b, s, layer, r), w * 4) == 0;
  }
  bool same(const RunResult& a, const RunResult& b, Site s = Site::logits, int layer = -1) const {
    for (int r = 0; r < static_cast<int>(ids.size()); ++r)
      if (!same_row(a, b, s, layer, r)) return false;
    return true;
  }
};

void sites(const Bench& b) {
  for (const CaptureSpec& spec : b.all) {
    if (!editable(spec.site)) continue;
    const std::string at = b.what + label(spec.site, spec.layer);
    size_t w = 0;
    b.row(b.base, spec.site, spec.layer, 0, &w);

    // zero, on rows 6 and 7 only.
    Edit zero = b.site(spec.site, spec.layer, SiteEdit::Kind::zero);
    zero.rows.t = {{6, 8}};
    const RunResult z = b.run({zero});
    for (const int r : {6, 7}) {
      const float* x = b.row(z, spec.site, spec.layer, r);
      check::that(std::all_of(x, x + w, [](float y) { return y == 0; }), at + " zeroed shows");
    }
    for (int r = 0; r < 6; ++r)
      check::that(b.same_row(z, b.base, Site::logits, -1, r), at + " zeroed leaves earlier rows alone");
    check::that(!b.same_row(z, b.base, Site::logits, -1, 7), at + " zeroed changes the outcome");
    check::that(b.same_row(z, b.base, spec.site, spec.layer, 5), at + " zeroed spares row 5");

    // scale by 1 and add times 0 change no bit; scale by 2 doubles.
    Edit scale = b.site(spec.site, spec.layer, SiteEdit::Kind::scale);
    Edit add = b.site(spec.site, spec.layer, SiteEdit::Kind::add);
    add.amount = 0;
    add.values.assign(w, 1.0f);
    check::that(b.same(b.run({scale, add}), b.base), at + " scaled by 1 and added 0");
    scale.amount = 2;
    const RunResult doubled = b.run({scale});
    const float *got = b.row(doubled, spec.site, spec.layer, 0),
                *was = b.row(b.base, spec.site, spec.layer, 0);
    // Watched, the fast path forms some values apart from others: equal up to rounding.
    for (size_t i = 0; i < w; ++i)
      check::near(got[i], 2 * was[i], 1e-5 * (1 + std::fabs(was[i])), at + " doubled");

    // add.
    add.amount = 0.5f;
    for (size_t i = 0; i < w; ++i) add.values[i] = static_cast<float>(i % 7);
    const RunResult added = b.run({add});
    const float* plus = b.row(added, spec.site, spec.layer, 0);
    for (size_t i = 0; i < w; ++i)
      check::near(plus[i], was[i] + 0.5 * static_cast<double>(i % 7), 1e-5 * (4 + std::fabs(was[i])),
                  at + " added");

    // Patched with its own values nothing changes; with another row's, that row shows.
    Edit patch = b.site(spec.site, spec.layer, SiteEdit::Kind::patch);
    const float* own = b.row(b.base, spec.site, spec.layer, 0);
    patch.values.assign(own, own + w * b.ids.size());
    for (int r = 0; r < static_cast<int>(b.ids.size()); ++r) patch.patch_rows.push_back(r);
    check::that(b.same(b.run({patch}), b.base), at + " patched with itself");
    patch.patch_rows = {9};
    const float* third = b.row(b.base, spec.site, spec.layer, 3);
    patch.values.assign(third, third + w);
    const RunResult patched = b.run({patch});
    check::that(std::memcmp(b.row(patched, spec.site, spec.layer, 9), third, w * 4) == 0,
                at + " patched shows");
    check::that(b.same_row(patched, b.base, spec.site, spec.layer, 8), at + " patched spares row 8");
  }
}

void heads(const Bench& b) {
  Edit off = b.site(Site::attn_z, 2, SiteEdit::Kind::zero);
  off.heads = {{1, 3}};
  const RunResult r = b.run({off});
  for (int row = 0; row < 20; ++row) {
    const float *x = b.row(r, Site::attn_z, 2, row), *was = b.row(b.base, Site::attn_z, 2, row);
    for (int h = 0; h < 4; ++h)
      for (int i = 0; i < 10; ++i)
        check::that(x[h * 10 + i] == (h % 2 ? 0 : was[h * 10 + i]),
                    b.what + "heads 1 and 3 are off, 0 and 2 are not");
  }
}

void order_and_filters(const Bench& b) {
  Edit zero = b.site(Site::resid_mid, 1, SiteEdit::Kind::zero);
  Edit add = b.site(Site::resid_mid, 1, SiteEdit::Kind::add);
  add.values.assign(36, 2.0f);
  check::that(b.row(b.run({zero, add}), Site::resid_mid, 1, 4)[0] == 2, b.what + "zero, then add");
  check::that(b.row(b.run({add, zero}), Site::resid_mid, 1, 4)[0] == 0, b.what + "add, then zero");

  Edit by_id = b.site(Site::embed, -1, SiteEdit::Kind::zero);
  by_id.rows.ids = {{b.ids[11], b.ids[11] + 1}};
  by_id.rows.position = {{5, 20}};
  const RunResult r = b.run({by_id});
  for (int row = 0; row < 20; ++row) {
    const bool hit = row >= 5 && b.ids[static_cast<size_t>(row)] == b.ids[11];
    check::that((b.row(r, Site::embed, -1, row)[0] == 0) == hit,
                b.what + "all conditions of a filter must hold");
  }
  Edit by_step = b.site(Site::embed, -1, SiteEdit::Kind::zero);
  by_step.rows.step = {{2, 3}};
  State state(b.model, 1, 40);
  RunSpec spec = spec_of({b.ids}, b.all);
  spec.edits = {by_step};
  spec.generation = Generation{5, {}, {}};
  const RunResult g = forward(state, spec);
  const float* embed = find(g, Site::embed, -1).data.as<float>();
  for (int row = 0; row < 25; ++row)
    check::that((embed[row * 36] == 0) == (row == 22), b.what + "step 2 alone is touched");
}

void routing(const Bench& b) {
  const int k = b.c.topk;
  const auto choice = [&](const RunResult& r, int layer, int row, int slot = 0) {
    return static_cast<int>(b.row(r, Site::router_choice, layer, row)[slot]);
  };
  const auto score = [&](const RunResult& r, int layer, int row) {
    return b.row(r, Site::router_score, layer, row)[0];
  };
  const auto logits = [&](const RunResult& r, int layer, int row) {
    return b.row(r, Site::router_logits, layer, row);
  };
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };

  // ban: never chosen there; the raw logits stay; other layers are only touched downstream.
  Edit ban = b.edit(Edit::Op::ban, {2});
  ban.experts = {choice(b.base, 2, 3), choice(b.base, 2, 4) == choice(b.base, 2, 3)
                                           ? (choice(b.base, 2, 3) + 1) % 5
                                           : choice(b.base, 2, 4)};
  const RunResult banned = b.run({ban});
  for (int r = 0; r < 20; ++r) {
    for (int s = 0; s < k; ++s)
      check::that(
          std::find(ban.experts.begin(), ban.experts.end(), choice(banned, 2, r, s)) == ban.experts.end(),
          b.what + "a banned expert is not chosen");
    check::that(b.same_row(banned, b.base, Site::router_logits, 2, r), b.what + "a ban leaves the logits");
    check::that(b.same_row(banned, b.base, Site::resid_post, 1, r),
                b.what + "a ban leaves the layers before");
    check::near(score(banned, 2, r), sigmoid(logits(banned, 2, r)[choice(banned, 2, r)]), 1e-6,
                b.what + "the next best has its own score");
  }
  Edit too_many = b.edit(Edit::Op::ban, {2});
  too_many.experts = {0, 1, 2, 3, 4};
  check::that(code_of([&] { b.run({too_many}); }) == static_cast<int>(Code::argument),
              b.what + "banning all is refused");

  // force, with its three scores.
  for (const auto rule : {RouteLaw::Score::own, RouteLaw::Score::original, RouteLaw::Score::constant}) {
    Edit force = b.edit(Edit::Op::force, {0});
    force.force = {3, rule, 0.25f};
    force.rows.t = {{10, 12}};
    const RunResult f = b.run({force});
    for (int r = 0; r < 20; ++r) {
      if (r < 10)
        check::that(b.same_row(f, b.base, Site::logits, -1, r), b.what + "force leaves the rows before");
      if (r < 10 || r > 11) continue;
      check::that(choice(f, 0, r) == 3, b.what + "the forced expert comes first");
      for (int s = 1; s < k; ++s) check::that(choice(f, 0, r, s) != 3, b.what + "and only once");
      const double want = rule == RouteLaw::Score::own        ? sigmoid(logits(b.base, 0, r)[3])
                          : rule == RouteLaw::Score::original ? score(b.base, 0, r)
                                                              : 0.25;
      check::near(score(f, 0, r), want, 1e-6, b.what + "score of a forced expert");
      check::near(b.row(f, Site::expert_in, 0, r)[0], want * b.row(b.base, Site::router_in, 0, r)[0], 1e-5,
                  b.what + "its input");
    }
  }

  // bias: large enough it forces, but the score stays the expert's own.
  Edit bias = b.edit(Edit::Op::bias, {0, 2});
  bias.expert = 1;
  bias.delta = 1e4f;
  const RunResult biased = b.run({bias});
  for (int r = 0; r < 20; ++r) {
    check::that(choice(biased, 0, r) == 1, b.what + "a large bias decides");
    check::near(score(biased, 0, r), sigmoid(logits(b.base, 0, r)[1]), 1e-6,
                b.what + "a bias leaves the score");
  }

  // replay: of itself, nothing changes; of the banned run, its choices with the run's own scores; -1 is free.
  Edit replay = b.edit(Edit::Op::replay, {0, 1, 2});
  replay.recorded = 20;
  for (int r = 0; r < 20; ++r)
    for (int l = 0; l < 3; ++l)
      for (int s = 0; s < k; ++s) replay.choice.push_back(l == 1 ? -1 : choice(b.base, l, r, s));
  check::that(b.same(b.run({replay}), b.base), b.what + "replaying itself changes nothing");
  for (int r = 0; r < 20; ++r) replay.choice[static_cast<size_t>((r * 3 + 2) * k)] = choice(banned, 2, r);
  for (int r = 0; r < 20; ++r)
    for (int s = 1; s < k; ++s)
      replay.choice[static_cast<size_t>((r * 3 + 2) * k + s)] = choice(banned, 2, r, s);
  const RunResult replayed = b.run({replay});
  check::that(b.same(replayed, banned), b.what + "replaying a banned run is that run");
  // A later force wins over a replay, a later replay over a force.
  Edit force = b.edit(Edit::Op::force, {2});
  force.force.forced = 4;
  const RunResult force_last = b.run({replay, force}), replay_last = b.run({force, replay});
  check::that(choice(force_last, 2, 5) == 4, b.what + "the later force wins");
  check::that(b.same(replay_last, banned), b.what + "the later replay wins");
}

void temperature(const Bench& b) {
  Config cold = b.c;
  cold.temperature_tuning = false;
  const RunResult want = forward(load(cold, b.values, b.what[0] == 'f'), b.ids, b.all);
  Edit off = b.edit(Edit::Op::temperature, {0, 1, 2});
  off.law.kind = TemperatureLaw::Kind::off;
  check::that(b.same(b.run({off}), want), b.what + "temperature off is a model without it");
  check::that(!b.same(b.base, want), b.what + "the temperature matters here");
  Edit floor = off;
  floor.law = {TemperatureLaw::Kind::floor, 5, 0.7};
  const RunResult r = b.run({floor});
  for (int p = 0; p < 20; ++p) {
    check::near(b.row(r, Site::attn_temperature, 2, p)[0], std::log(std::floor((p + 1) / 5.0) + 1) * 0.7 + 1,
                1e-6, b.what + "another law");
    check::that(b.row(r, Site::attn_temperature, 0, p)[0] == 1, b.what + "RoPE layers have none");
  }
}

void ties(bool fast) {
  Config c = small_config(2);
  Draw draw{5};
  Values values = random_weights(c, draw);
  for (const int l : {0, 2}) {
    auto& router = values["layers." + std::to_string(l) + ".router"];
    for (int e = 1; e < c.experts; ++e) std::copy_n(router.begin(), c.d, router.begin() + e * c.d);
  }
  const auto m = load(c, values, fast);
  for (const int n : {1, 2, 33}) {
    const RunResult r = forward(m, random_ids(c, draw, n), every_site(c));
    for (const int l : {0, 2})
      for (int row = 0; row < n; ++row) {
        const float* x = find(r, Site::router_choice, l).data.as<float>() + row * 2;
        check::that(x[0] == 0 && x[1] == 1, "equal logits go to the lowest experts");
      }
  }
}

}  // namespace

void test_edits() {
  for (const bool fast : {false, true}) {
    for (const int topk : {1, 2}) {
      const Bench b(topk, fast);
      sites(b);
      heads(b);
      order_and_filters(b);
      routing(b);
      temperature(b);
    }
    ties(fast);
  }
}
