// The work of each verb against values computed by hand; a profiled run against the same run without.
#include "model/profile.h"

#include <cmath>
#include <cstring>
#include <set>

#include "check.h"
#include "fixture.h"
#include "suites.h"

namespace {

using namespace fixture;

/** Two layers, one chunked with experts and one global and dense, small enough for pencil and paper. */
Config small() {
  Config c;
  c.vocab = 10;
  c.d = 8;
  c.heads = 2;
  c.kv_heads = 1;
  c.head_dim = 4;
  c.ff = 6;
  c.ff_dense = 12;
  c.experts = 4;
  c.topk = 2;
  c.chunk = 4;
  c.inv_freq = {1, 0.1f};
  c.inv_freq64 = {1, 0.1};
  c.layers = {{true, true, true}, {false, false, false}};
  return c;
}

/** No weights, only where they would lie and in which format. */
std::unique_ptr<Model> shape_of(const Config& c, Format format) {
  auto m = std::make_unique<Model>();
  m->config = c;
  m->slots = slots_of(m->config, m->weights);
  for (const Slot& s : m->slots) s.matrix->format = s.use == Slot::Use::multiply ? format : Format::f32;
  m->backend = exact_cpu(m->config, m->weights);
  return m;
}

void is(const Work& got, double bytes, double flops, const std::string& what) {
  check::near(got.bytes, bytes, 0, what + ", bytes");
  check::near(got.flops, flops, 0, what + ", flops");
}

void by_hand() {
  Config c = small();
  const auto m = shape_of(c, Format::f32);
  // Three rows from 0, two rows from 6: in chunks of 4 those see 1, 2, 3 and 3, 4 keys.
  const TileShape t{{{0, 3}, {6, 2}}};
  is(work_of(Verb::embed, *m, t, -1, 0), 5 * 32 + 160, 0, "embed");
  is(work_of(Verb::qkv, *m, t, 0, 3), 32 + 256 + 128 + 128 + 480, 1280, "qkv");
  is(work_of(Verb::attend, *m, t, 0, 3), 320 + 384 + 160, 416, "attend in chunks");
  is(work_of(Verb::attend, *m, t, 1, 0), 320 + 512 + 160, 672, "attend globally");
  is(work_of(Verb::out, *m, t, 0, 3), 256 + 480, 640, "out");
  is(work_of(Verb::route_ffn, *m, t, 0, 3), 32 + 128 + 384 + 3 * 384 + 520, 320 + 960 + 1920, "route_ffn");
  is(work_of(Verb::ffn_down, *m, t, 0, 3), 192 + 3 * 192 + 680, 480 + 960, "ffn_down");
  is(work_of(Verb::route_ffn, *m, t, 1, 0), 32 + 768 + 400, 1920, "route_ffn, dense");
  is(work_of(Verb::ffn_down, *m, t, 1, 0), 384 + 560, 960, "ffn_down, dense");
  is(work_of(Verb::head, *m, t, -1, 0), 32 + 320 + 360, 800, "head");
  is(work_of(Verb::sample, *m, {}, -1, 0), 40, 0, "sample");

  // 8 rows by 128 columns a tile: 512 bytes of codes, a scale of 2 bytes a row and group.
  is(work_of(Verb::qkv, *shape_of(c, Format::bf16), t, 0, 3), 32 + 128 + 64 + 64 + 480, 1280, "qkv, bf16");
  is(work_of(Verb::qkv, *shape_of(c, Format::int4_32), t, 0, 3), 32 + 3 * (512 + 64) + 480, 1280,
     "qkv, int4 by 32");
  is(work_of(Verb::ffn_down, *shape_of(c, Format::int4_64), t, 0, 3), 4 * (512 + 32) + 680, 1440,
     "ffn_down, int4 by 64");
  is(work_of(Verb::ffn_down, *shape_of(c, Format::int4_128), t, 0, 3), 4 * (512 + 16) + 680, 1440,
     "ffn_down, int4 by 128");
  c.tied_embeddings = true;
  is(work_of(Verb::head, *shape_of(c, Format::bf16), t, -1, 0), 32 + 160 + 360, 800, "head, tied");
}

bool same_bits(const Counted& a, const Counted& b) {
  return a.used() == b.used() && std::memcmp(a.as<char>(), b.as<char>(), a.used()) == 0;
}

RunResult generated(const std::shared_ptr<Model>& m, const std::vector<int32_t>& ids, bool profile) {
  State state(m, 1, static_cast<int64_t>(ids.size()) + 6);
  RunSpec spec = spec_of({ids}, every_site(m->config));
  spec.generation = Generation{6, {}, {}};
  spec.tile = 7;
  spec.profile = profile;
  return forward(state, spec);
}

/** Experts that rows [from, to) of a layer chose, each counted once. */
int64_t chosen(const RunResult& r, const Config& c, int layer, int from, int to) {
  const float* choice = find(r, Site::router_choice, layer).data.as<float>();
  return static_cast<int64_t>(std::set<float>(choice + from * c.topk, choice + to * c.topk).size());
}

void one_model(uint64_t seed, bool fast) {
  Draw draw{seed};
  Config c = random_config(draw);
  while (c.experts < 3) c = random_config(draw);
  const auto m = load(c, random_weights(c, draw), fast);
  const std::vector<int32_t> ids = random_ids(c, draw, 20);
  const std::string what = "profile, model " + std::to_string(seed) + (fast ? " fast" : " exact");
  const RunResult plain = generated(m, ids, false), told = generated(m, ids, true);
  check::that(!plain.profile && told.profile, what + ": only who asks is told");
  bool same =
      same_bits(plain.logprob, told.logprob) && same_bits(plain.last, told.last) && plain.ids == told.ids;
  for (size_t i = 0; i < plain.captures.size(); ++i)
    same &= same_bits(plain.captures[i].data, told.captures[i].data);
  check::that(same, what + ": the notes change no bit");

  // Tiles of 7, 7 and 6 rows, then one row six times; the last token drawn has its row, too.
  const auto row = [&](bool decode, Verb verb) -> const Profile::Row& {
    for (const Profile::Row& r : told.profile->rows)
      if (r.decode == decode && r.verb == verb) return r;
    static const Profile::Row none;
    return none;
  };
  const int64_t layers = c.layer_count();
  double total = 0;
  for (const Profile::Row& r : told.profile->rows) {
    const bool once = r.verb == Verb::embed || r.verb == Verb::head || r.verb == Verb::sample;
    check::that(r.calls == (r.decode ? 6 : 3) * (once ? 1 : layers), what + ": calls of " + name(r.verb));
    check::that(r.ms >= 0 && std::isfinite(r.ms) && r.work.bytes > 0, what + ": figures of " + name(r.verb));
    total += r.ms;
  }
  check::that(told.profile->rows.size() == 2 * (verb_count - 1) + 1, what + ": a row a phase and verb");
  check::that(total > 0 && total <= told.prefill_ms + told.decode_ms, what + ": verbs take no more than all");
  check::that(told.profile->limit > 0, what + ": the limit is measured");

  double bytes = 0;
  const int ends[] = {0, 7, 14, 20};
  for (int tile = 0; tile < 3; ++tile)
    for (int l = 0; l < c.layer_count(); ++l) {
      const bool moe = c.layers[static_cast<size_t>(l)].moe;
      bytes += work_of(Verb::ffn_down, *m, {{{0, ends[tile + 1] - ends[tile]}}}, l,
                       moe ? chosen(told, c, l, ends[tile], ends[tile + 1]) : 0)
                   .bytes;
    }
  check::near(row(false, Verb::ffn_down).work.bytes, bytes, 0, what + ": experts that were read");
}

}  // namespace

void test_profile() {
  by_hand();
  for (uint64_t seed = 500; seed < 506; ++seed)
    for (const bool fast : {false, true}) one_model(seed, fast);
}
