// What is wrong is refused with its code and place, and the model goes on.
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <thread>

#include "base/budget.h"
#include "check.h"
#include "fixture.h"
#include "suites.h"

namespace {

using namespace fixture;

void is(int got, Code want, const std::string& what) {
  check::that(
      got == static_cast<int>(want),
      what + ": " +
          (got < 0 ? "nothing was thrown" : std::string("thrown was ") + name(static_cast<Code>(got))));
}

void loading() {
  Draw draw{900};
  const Config c = random_config(draw);
  Values values = random_weights(c, draw);
  const auto m = load(c, values, false);
  for (const auto& [slot, want] : values) {
    const Matrix& matrix = *m->slot(slot).matrix;
    std::vector<float> got(want.size());
    m->backend->unpack(matrix, got.data(), 0, matrix.rows);
    check::that(got == want, slot + " is read as written");
  }
  for (const bool fast : {false, true}) {
    const auto mapped = load(c, values, fast, Format::bf16, 2, true);
    bool any = false;
    for (const auto& [slot, want] : values) {
      const Matrix& matrix = *mapped->slot(slot).matrix;
      any |= matrix.mapped;
      std::vector<float> got(want.size());
      mapped->backend->unpack(matrix, got.data(), 0, matrix.rows);
      check::that(got == want, slot + " is read from the file");
    }
    check::that(any || fast, "some matrices stay in the file");
  }
  const auto packed = load(c, values, true);
  for (const auto& [slot, want] : values) {
    const Matrix& matrix = *packed->slot(slot).matrix;
    std::vector<float> got(want.size());
    packed->backend->unpack(matrix, got.data(), 0, matrix.rows);
    check::that(got == want, slot + " is packed as written");
  }
  check::that(m->nonfinite.empty(), "finite weights are not reported");
  values["layers.0.attn.q"][3] = std::numeric_limits<float>::infinity();
  values["layers.0.attn.q"][4] = std::numeric_limits<float>::quiet_NaN();
  for (const bool fast : {false, true}) {
    const auto bad = load(c, values, fast);
    check::that(bad->nonfinite.size() == 1 && bad->nonfinite[0].slot == "layers.0.attn.q" &&
                    bad->nonfinite[0].count == 2,
                "non-finite weights are counted");
    std::string where;
    is(code_of([&] { forward(bad, {1, 2, 3}, {}); }, &where), Code::nonfinite, "a NaN in the weights");
    check::that(where == "layers.0.attn.q", "the first site is named, not " + where);
  }
  LoadSpec spec;
  Control control;
  spec.config = c;
  is(code_of([&] { load_model(spec, control); }), Code::argument, "slots are missing");
  spec.files = {"/nonexistent/file"};
  is(code_of([&] { load_model(spec, control); }), Code::file, "no such file");

  // A source that ends a byte too late.
  char path[] = "/tmp/moescope-native-tests-XXXXXX";
  std::FILE* f = fdopen(mkstemp(path), "wb");
  std::fwrite(values["embed"].data(), 4, values["embed"].size(), f);
  std::fclose(f);
  spec.files = {path};
  spec.weights = {{"embed", 0, 1, SourceType::f32, c.vocab, c.d, c.d, 1}};
  std::string where;
  is(code_of([&] { load_model(spec, control); }, &where), Code::file, "a source beyond the end");
  check::that(where == "embed", "the slot is named");
  spec.weights[0].offset = 0;
  spec.weights[0].row_stride = int64_t{1} << 52;
  is(code_of([&] { load_model(spec, control); }), Code::file, "strides that overflow");
  spec.weights[0].row_stride = c.d;
  spec.weights[0].rows += 1;
  is(code_of([&] { load_model(spec, control); }), Code::argument, "another shape");
  std::remove(path);

  LoadSpec random;
  random.config = c;
  random.random = {{7, 0.1}};
  const auto a = load_model(random, control);
  random.threads = 1;
  const auto b = load_model(random, control);
  std::vector<float> x(static_cast<size_t>(c.vocab * c.d)), y = x;
  a->backend->unpack(a->weights.embed, x.data(), 0, c.vocab);
  b->backend->unpack(b->weights.embed, y.data(), 0, c.vocab);
  check::that(x == y && x[0] != x[1], "random weights are a matter of the seed alone");
}

void running(bool fast) {
  Draw draw{901};
  Config c = random_config(draw);
  while (c.chunk == 0 || !c.layers[0].chunked) c = random_config(draw);
  const auto m = load(c, random_weights(c, draw), fast);
  const std::vector<int32_t> ids = random_ids(c, draw, 30);
  const CaptureSpec logits{Site::logits, -1, {}, false, {}, {}};
  const auto attempt = [&](auto change) {
    State state(m, 1, 64);
    RunSpec spec = spec_of({ids}, {logits});
    change(spec);
    return code_of([&] { forward(state, spec); });
  };
  is(attempt([&](RunSpec& s) { s.batch.ids[4] = c.vocab; }), Code::argument, "an id beyond the vocabulary");
  is(attempt([&](RunSpec& s) { s.batch.ids[4] = -1; }), Code::argument, "a negative id");
  is(attempt([&](RunSpec& s) { s.batch.lengths = {29}; }), Code::argument, "lengths that do not add up");
  is(attempt([&](RunSpec& s) { s.batch = {{}, {0}, {}, {}}; }), Code::argument, "no rows");
  is(attempt([&](RunSpec& s) {
       s.batch.embed_rows = {30}, s.batch.embed_values.resize(static_cast<size_t>(c.d));
     }),
     Code::argument, "an embedding beyond the batch");
  is(attempt([&](RunSpec& s) { s.captures[0].layer = 0; }), Code::argument, "a layer where there is none");
  is(attempt([&](RunSpec& s) { s.captures = {{Site::attn_q, 99, {}, false, {}, {}}}; }), Code::argument,
     "a layer too many");
  is(attempt([&](RunSpec& s) { s.captures = {{Site::attn_q, 0, {}, false, {{99}}, {}}}; }), Code::argument,
     "a head too many");
  is(attempt([&](RunSpec& s) { s.captures = {{Site::attn_q, 0, {{30}}, false, {}, {}}}; }), Code::argument,
     "a row too many");
  is(attempt([&](RunSpec& s) { s.edits.emplace_back().layers = {1, 1, 1, 1, 1, 1, 1}; }), Code::argument,
     "an edit for other layers");
  is(attempt([](RunSpec&) {}), static_cast<Code>(-1), "and without a fault it runs");

  State small(m, 1, 20);
  is(code_of([&] { forward(small, spec_of({ids})); }), Code::argument, "more rows than the context");
  is(code_of([&] { State huge(m, 1000, INT32_MAX); }), Code::memory, "more KV than memory");

  // Over the budget: refused with nothing taken.
  Budget& budget = Budget::instance();
  const uint64_t limit = budget.limit(), live = budget.live();
  budget.set_limit(live + 1000);
  is(attempt([](RunSpec&) {}), Code::budget, "captures over the budget");
  check::that(budget.live() == live, "a refused run takes nothing");
  budget.set_limit(limit);

  // Not finite, by an edit, at a row that can be told.
  Edit poison;
  poison.op = Edit::Op::site;
  poison.site = Site::resid_mid;
  poison.kind = SiteEdit::Kind::scale;
  poison.amount = std::numeric_limits<float>::quiet_NaN();
  poison.layers.assign(c.layers.size(), 1);
  poison.rows.t = {{3, 4}};
  std::string where;
  State state(m, 1, 64);
  RunSpec spec = spec_of({ids});
  spec.edits = {poison};
  is(code_of([&] { forward(state, spec); }, &where), Code::nonfinite, "NaN in an activation");
  check::that(where == "layers.0.resid.mid", "its site is named, not " + where);
  poison.site = Site::attn_z;
  spec.edits = {poison};
  State again(m, 1, 64);
  is(code_of([&] { forward(again, spec); }, &where), Code::nonfinite, "NaN in an activation");
  check::that(where == "layers.0.attn.z", "its site is named, not " + where);

  // Cancelled: the state keeps whole tiles, or says that it cannot go on.
  State half(m, 1, 4096);
  RunSpec many = spec_of({random_ids(c, draw, 4000)});
  many.tile = 5;
  RunWatch watch;
  std::thread stop([&] {
    while (watch.control.done < 20) std::this_thread::yield();
    watch.control.cancel = true;
  });
  is(code_of([&] { run(half, many, watch); }), Code::cancelled, "cancelled");
  stop.join();
  check::that(half.position[0] % 5 == 0 && half.position[0] >= 5 && half.position[0] < 4000,
              "whole tiles are kept");
  State fresh(m, 1, 64);
  is(code_of([&] { forward(fresh, spec_of({ids})); }), static_cast<Code>(-1), "the model goes on after that");

  // Cancelled while generating: what is there stays, and can be gone on from.
  State talk(m, 1, 5000);
  RunSpec talking = spec_of({ids}, {{Site::logits, -1, {}, true, {}, {}}});
  talking.generation = Generation{4000, {1, 1, 0, 1}, {}};
  RunWatch ear;
  int heard = 0;
  ear.token = [&](int32_t) {
    if (++heard == 7) ear.control.cancel = true;
  };
  const RunResult cut = run(talk, talking, ear);
  // A device that runs ahead finishes the steps that were on their way.
  const size_t most = 7 + static_cast<size_t>(m->backend->ahead_most());
  check::that(std::string(cut.reason) == "cancel" && cut.ids.size() >= 6 && cut.ids.size() <= most,
              "a cancelled generation ends with cancel");
  check::that(cut.rows == static_cast<int64_t>(30 + cut.ids.size()) && talk.position[0] == cut.rows,
              "with whole rows");
  check::that(find(cut, Site::logits, -1).rows.size() == static_cast<size_t>(cut.rows), "captured, too");
  is(code_of([&] { forward(talk, spec_of({ids})); }), static_cast<Code>(-1), "and the state goes on");

  // Stop ids, and a full context.
  State stopping(m, 1, 64);
  RunSpec until = spec_of({ids});
  until.generation = Generation{20, {}, {cut.ids[0]}};
  until.generation->sampling = {1, 1, 0, 1};
  const RunResult stopped = forward(stopping, until);
  check::that(stopped.ids.size() == 1 && std::string(stopped.reason) == "stop",
              "a stop id ends, and is there");
  State tight(m, 1, 34);
  RunSpec long_one = spec_of({ids});
  long_one.generation = Generation{20, {}, {}};
  const RunResult full = forward(tight, long_one);
  check::that(full.ids.size() == 4 && std::string(full.reason) == "length", "a full context ends");
}

/** Rows, heads and experts of captures. */
void filters(bool fast) {
  Draw draw{902};
  Config c = random_config(draw);
  while (!c.layers[0].moe || c.heads < 3 || c.experts < 3) c = random_config(draw);
  const auto m = load(c, random_weights(c, draw), fast);
  const std::vector<int32_t> ids = random_ids(c, draw, 25);
  const RunResult all = forward(m, ids, every_site(c));
  const RunResult some = forward(m, ids,
                                 {{Site::attn_z, 0, {{3, 17, 4}}, false, {{2, 0}}, {}},
                                  {Site::attn_pattern, 0, {{24, 9}}, false, {{1}}, {}},
                                  {Site::expert_out, 0, {}, false, {}, {{1}}},
                                  {Site::attn_z, 0, {}, false, {}, {}}});
  const Captured& z = some.captures[0];
  check::that(
      z.rows == std::vector<int32_t>({3, 4, 17}) && z.shape == std::vector<int64_t>({3, 2, c.head_dim}),
      "rows and heads are chosen");
  const float* full = find(all, Site::attn_z, 0).data.as<float>();
  for (size_t i = 0; i < 3; ++i)
    for (int h = 0; h < 2; ++h)
      for (int j = 0; j < c.head_dim; ++j)
        check::that(z.data.as<float>()[(static_cast<int>(i) * 2 + h) * c.head_dim + j] ==
                        full[z.rows[i] * c.q_width() + h * 2 * c.head_dim + j],
                    "chosen values");
  const Captured& p = some.captures[1];
  check::that(p.shape == std::vector<int64_t>({1, 2, 25}) && p.rows == std::vector<int32_t>({9, 24}),
              "pattern of chosen rows");
  for (int k = 0; k < 25; ++k)
    check::that(
        p.data.as<float>()[25 + k] == find(all, Site::attn_pattern, 0).data.as<float>()[(25 + 24) * 25 + k],
        "pattern values");
  const Captured& e = some.captures[2];
  const float* choice = find(all, Site::router_choice, 0).data.as<float>();
  std::vector<int32_t> want;
  for (int r = 0; r < 25; ++r)
    for (int s = 0; s < c.topk; ++s)
      if (choice[r * c.topk + s] == 1) want.push_back(r);
  check::that(e.rows == want && e.shape[0] == static_cast<int64_t>(want.size()), "rows of chosen experts");
  for (size_t i = 0; i < want.size(); ++i)
    for (int j = 0; j < c.topk * c.d; ++j)
      check::near(e.data.as<float>()[static_cast<int>(i) * c.topk * c.d + j],
                  find(all, Site::expert_out, 0).data.as<float>()[want[i] * c.topk * c.d + j], 1e-5,
                  "values of chosen experts");
  check::that(some.captures[3].shape[0] == 25, "two captures of a site");
}

}  // namespace

void test_faults() {
  loading();
  for (const bool fast : {false, true}) {
    running(fast);
    filters(fast);
  }
}
