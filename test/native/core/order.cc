// Any tiling, token by token, resumed states and uneven batches give the same values. The exact path gives
// the same bits.
#include <cmath>
#include <cstring>
#include <iterator>

#include "check.h"
#include "fixture.h"
#include "suites.h"

namespace {

using namespace fixture;

const std::vector<CaptureSpec> ends = {{Site::logits, -1, {}, true, {}, {}},
                                       {Site::final_norm, -1, {}, true, {}, {}}};

void same(const float* got, const float* want, size_t n, bool bits, const std::string& what) {
  if (bits) {
    check::that(std::memcmp(got, want, n * sizeof(float)) == 0, what + ": other bits");
    return;
  }
  double scale = 1e-3, worst = 0;
  for (size_t i = 0; i < n; ++i) scale = std::max(scale, std::fabs(static_cast<double>(want[i])));
  for (size_t i = 0; i < n; ++i)
    worst = std::max(worst, std::fabs(static_cast<double>(got[i]) - want[i]) / scale);
  check::near(worst, 0, 1e-5, what);
}

/** Rows of a run made in these pieces, one state. */
std::vector<float> in_pieces(const std::shared_ptr<Model>& m, const std::vector<int32_t>& ids,
                             std::vector<int> pieces, std::vector<float>& logprob) {
  State state(m, 1, static_cast<int64_t>(ids.size()));
  std::vector<float> logits;
  size_t from = 0;
  for (const int n : pieces) {
    RunSpec spec = spec_of({{ids.begin() + static_cast<std::ptrdiff_t>(from),
                             ids.begin() + static_cast<std::ptrdiff_t>(from) + n}},
                           ends);
    spec.first_row = static_cast<int32_t>(from);
    const RunResult r = forward(state, spec);
    const float* x = r.captures[0].data.as<float>();
    logits.insert(logits.end(), x, x + static_cast<size_t>(n) * static_cast<size_t>(m->config.vocab));
    logprob.insert(logprob.end(), r.logprob.as<float>(), r.logprob.as<float>() + n);
    check::that(r.captures[0].rows.front() == static_cast<int32_t>(from), "rows are numbered from firstRow");
    from += static_cast<size_t>(n);
  }
  check::that(state.position[0] == static_cast<int64_t>(ids.size()), "the position is what was run");
  return logits;
}

void one_model(uint64_t seed, bool fast) {
  Draw draw{seed};
  const Config c = random_config(draw);
  const Format format = all_formats[seed % std::size(all_formats)];
  const auto m = load(c, random_weights(c, draw), fast, format);
  const int n = 20 + draw.below(40);
  const std::vector<int32_t> ids = random_ids(c, draw, n);
  const RunResult whole = forward(m, ids, ends);
  const float* want = whole.captures[0].data.as<float>();
  const size_t vocab = static_cast<size_t>(c.vocab), size = vocab * ids.size();
  const std::string what =
      "order, model " + std::to_string(seed) + (fast ? " fast " : " exact ") + name_of(format) + " ";

  for (const int tile : {1, 2, 7, n - 1}) {
    const RunResult r = forward(m, ids, ends, {}, tile);
    same(r.captures[0].data.as<float>(), want, size, !fast, what + "tile " + std::to_string(tile));
    same(r.logprob.as<float>() + 1, whole.logprob.as<float>() + 1, ids.size() - 1, !fast,
         what + "logprob, tile " + std::to_string(tile));
  }
  std::vector<std::vector<int>> cuts = {std::vector<int>(ids.size(), 1), {n / 2, n - n / 2}, {1, n - 2, 1}};
  if (c.chunk > 0 && n > c.chunk + 2) {
    const int chunk = static_cast<int>(c.chunk);
    for (const int at : {chunk - 1, chunk, chunk + 1}) cuts.push_back({at, n - at});
  }
  for (const auto& pieces : cuts) {
    std::vector<float> logprob;
    same(in_pieces(m, ids, pieces, logprob).data(), want, size, !fast,
         what + "pieces from " + std::to_string(pieces[0]));
    same(logprob.data() + 1, whole.logprob.as<float>() + 1, ids.size() - 1, !fast,
         what + "logprob over pieces");
  }

  // Uneven sequences in one batch, going on unevenly; an empty one among them.
  const std::vector<std::vector<int32_t>> texts = {random_ids(c, draw, 13), random_ids(c, draw, 1),
                                                   random_ids(c, draw, 29)};
  State state(m, 3, 40);
  RunSpec spec = spec_of({texts[0], {}, {texts[2].begin(), texts[2].begin() + 10}}, ends);
  spec.tile = 6;
  const RunResult first = forward(state, spec);
  const RunResult second =
      forward(state, spec_of({{}, texts[1], {texts[2].begin() + 10, texts[2].end()}}, ends));
  for (int s = 0; s < 3; ++s) {
    const RunResult alone = forward(m, texts[static_cast<size_t>(s)], ends);
    const size_t rows = texts[static_cast<size_t>(s)].size();
    const RunResult& last = s == 0 ? first : second;
    same(last.last.as<float>() + static_cast<size_t>(s) * vocab, alone.last.as<float>(), vocab, !fast,
         what + "batch, last of " + std::to_string(s));
    if (s == 0)
      same(first.captures[0].data.as<float>(), alone.captures[0].data.as<float>(), rows * vocab, !fast,
           what + "batch rows");
    if (s == 2) {
      same(first.captures[0].data.as<float>() + 13 * vocab, alone.captures[0].data.as<float>(), 10 * vocab,
           !fast, what + "batch rows");
      same(second.captures[0].data.as<float>() + vocab, alone.captures[0].data.as<float>() + 10 * vocab,
           19 * vocab, !fast, what + "resumed batch rows");
    }
  }
  check::that(state.position == std::vector<int64_t>({13, 1, 29}), what + "positions of a batch");

  // Generated rows are what a prefill of the same ids gives.
  State live(m, 1, n + 12);
  RunSpec generate = spec_of({ids}, ends);
  generate.generation = Generation{12, {0.9, 0.9, 0, 5}, {}};
  const RunResult g = forward(live, generate);
  check::that(g.ids.size() == 12 && g.rows == n + 12, what + "twelve tokens");
  std::vector<int32_t> all = ids;
  all.insert(all.end(), g.ids.begin(), g.ids.end());
  const RunResult again = forward(m, all, ends);
  same(g.captures[0].data.as<float>(), again.captures[0].data.as<float>(), vocab * all.size(), !fast,
       what + "generated rows");
  same(g.logprob.as<float>() + 1, again.logprob.as<float>() + 1, all.size() - 1, !fast,
       what + "generated logprob");
  check::that(g.captures[0].rows.back() == n + 11, what + "generated rows are numbered on");

  // One thread or two: the same bits.
  if (fast) {
    Draw same_draw{seed};
    const Config copy = random_config(same_draw);
    const auto alone = load(copy, random_weights(copy, same_draw), true, format, 1);
    const RunResult r = forward(alone, ids, ends);
    same(r.captures[0].data.as<float>(), want, size, false, what + "one thread");
  }
}

}  // namespace

void test_order() {
  for (uint64_t seed = 100; seed < 112; ++seed)
    for (const bool fast : {false, true}) one_model(seed, fast);
}
