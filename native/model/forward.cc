#include "model/forward.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/locate.h"
#include "model/runner.h"

namespace moescope {

Runner::Runner(State& state, const RunSpec& spec, RunWatch& watch)
    : state_(state),
      spec_(spec),
      watch_(watch),
      c_(state.model().config),
      backend_(*state.model().backend),
      batch_rows_(static_cast<int>(spec.batch.ids.size())),
      decode_rows_(spec.generation ? spec.generation->max_tokens : 0),
      edits_(c_, spec.edits),
      captures_(c_, spec.captures, batch_rows_, decode_rows_, last_position(), result_bytes()),
      points_(static_cast<size_t>(c_.layer_count() + 1) * site_count) {
  captures_.attach(points_.data());
  edits_.attach(points_.data());
  const size_t rows = static_cast<size_t>(batch_rows_ + decode_rows_);
  result_.logprob = Counted(4 * rows, "results");
  result_.entropy = Counted(4 * rows, "results");
  result_.rank = Counted(4 * rows, "results");
  control().total = batch_rows_ + decode_rows_;
  if (spec.profile) profiler_.emplace(state.model());
  for (const int32_t length : spec.batch.lengths)
    ends_.push_back((ends_.empty() ? 0 : ends_.back()) + length);
  for (size_t i = 0; i < spec.batch.embed_rows.size(); ++i) {
    if (given_.empty()) given_.resize(static_cast<size_t>(batch_rows_));
    given_[static_cast<size_t>(spec.batch.embed_rows[i])] =
        spec.batch.embed_values.data() + i * static_cast<size_t>(c_.d);
  }
}

RunResult Runner::run() {
  const Clock::time_point start = Clock::now();
  try {
    prefill();
    result_.prefill_ms = ms_since(start);
    if (spec_.generation) generate(*spec_.generation);
  } catch (const Error& e) {
    if (e.code() != Code::cancelled || !spec_.generation) throw;
    result_.reason = "cancel";
    profiler_.reset();  // half of a run says nothing, and to measure its limit takes time
    if (result_.prefill_ms == 0) result_.prefill_ms = ms_since(start);
  }
  finish();
  return std::move(result_);
}

int64_t Runner::last_position() const {
  int64_t most = 0;
  for (size_t s = 0; s < spec_.batch.lengths.size(); ++s)
    most = std::max(most, state_.position[s] + spec_.batch.lengths[s]);
  return std::min(most + decode_rows_, state_.context());
}

uint64_t Runner::result_bytes() const {
  return 12 * static_cast<uint64_t>(batch_rows_ + decode_rows_) +
         4 * static_cast<uint64_t>(state_.sequences()) * static_cast<uint64_t>(c_.vocab);
}

/** Rows in the order of the batch, in tiles; within a tile a sequence is cut into segments at the ends of
 * chunks. */
void Runner::prefill() {
  const int cap = spec_.tile > 0 ? spec_.tile : backend_.tile_rows();
  int row = 0;
  for (int s = 0; s < state_.sequences(); ++s) {
    const int length = spec_.batch.lengths[static_cast<size_t>(s)];
    if (length > 0) know_target(s, row, spec_.batch.ids[static_cast<size_t>(row)]);
    int64_t position = state_.position[static_cast<size_t>(s)];
    for (const int end = row + length; row < end;) {
      int count = std::min(end - row, cap - static_cast<int>(rows_.size()));
      if (c_.chunk > 0) count = static_cast<int>(std::min<int64_t>(count, c_.chunk - position % c_.chunk));
      segments_.push_back({static_cast<int>(rows_.size()), count, position, state_.kv(s)});
      for (int i = 0; i < count; ++i, ++row, ++position)
        rows_.push_back({spec_.first_row + row, row, s, static_cast<int32_t>(position), -1,
                         spec_.batch.ids[static_cast<size_t>(row)]});
      if (static_cast<int>(rows_.size()) == cap) tile();
    }
  }
  if (!rows_.empty()) tile();
}

/** The collected rows through all layers. */
void Runner::tile() {
  struct Clear {
    Runner& r;
    ~Clear() {
      r.rows_.clear();
      r.segments_.clear();
    }
  } clear{*this};
  describe();
  const int done = static_cast<int>(control().done.load());
  const Step& s = step_;
  const auto lap = [this](Verb verb, int layer) {
    if (profiler_) profiler_->lap(verb, layer);
  };
  if (profiler_) profiler_->begin();
  try {
    backend_.embed(s);
    lap(Verb::embed, -1);
    finite(Site::embed, -1);
    for (int l = 0; l < c_.layer_count(); ++l) {
      poll();
      backend_.qkv(s, l);
      lap(Verb::qkv, l);
      backend_.attend(s, l);
      lap(Verb::attend, l);
      backend_.out(s, l);
      lap(Verb::out, l);
      backend_.route_ffn(s, l);
      lap(Verb::route_ffn, l);
      backend_.ffn_down(s, l);
      lap(Verb::ffn_down, l);
      const int bad = backend_.nonfinite_row(s);
      if (bad >= 0) not_finite(first_nonfinite(backend_, c_, s, l, bad), l, bad);
      control().done = done + static_cast<int64_t>(s.rows) * (l + 1) / (c_.layer_count() + 1);
    }
    head();
    lap(Verb::head, -1);
    if (profiler_) profiler_->end(segments_.data(), step_.segment_count, rows_[0].batch < 0);
  } catch (...) {
    // A tile that went over the end of a chunk has overwritten slots that the rows before it still need.
    for (const Segment& g : segments_) state_.broken |= crosses(g);
    throw;
  }
  captures_.commit();
  made_ += s.rows;
  for (const Segment& g : segments_) {
    const size_t seq = static_cast<size_t>(rows_[static_cast<size_t>(g.row)].seq);
    state_.position[seq] = g.position + g.count;
  }
  state_.account();
  control().done = done + s.rows;
}

/** Does the segment lie in a later chunk than rows that the sequence still needs? */
bool Runner::crosses(const Segment& g) const {
  if (c_.chunk == 0) return false;
  const int64_t from = state_.position[static_cast<size_t>(rows_[static_cast<size_t>(g.row)].seq)];
  return from % c_.chunk != 0 && g.position / c_.chunk != from / c_.chunk;
}

void Runner::describe() {
  const size_t n = rows_.size();
  ids_.resize(n);
  positions_.resize(n);
  embeds_.assign(given_.empty() ? 0 : n, nullptr);
  for (size_t r = 0; r < n; ++r) {
    ids_[r] = rows_[r].id;
    positions_[r] = rows_[r].position;
    if (!given_.empty() && rows_[r].batch >= 0) embeds_[r] = given_[static_cast<size_t>(rows_[r].batch)];
  }
  backend_.reserve(static_cast<int>(n));
  captures_.prepare(rows_);
  step_.rows = static_cast<int>(n);
  step_.ids = ids_.data();
  step_.positions = positions_.data();
  step_.segments = segments_.data();
  step_.segment_count = static_cast<int>(segments_.size());
  step_.embeds = embeds_.empty() ? nullptr : embeds_.data();
  edits_.prepare(rows_, step_.edits);
  step_.points = points_.data();
  step_.layers = c_.layer_count();
  step_.cancel = &control().cancel;
}

void Runner::head() {
  const size_t n = rows_.size();
  target_.assign(n, -1);
  keep_.assign(n, nullptr);
  logprob_.resize(n);
  rank_.resize(n);
  entropy_.resize(n);
  lse_.resize(n);
  for (size_t r = 0; r < n; ++r) {
    const int32_t next = rows_[r].batch + 1;
    if (rows_[r].batch >= 0 && next < ends_[static_cast<size_t>(rows_[r].seq)]) {
      target_[r] = spec_.batch.ids[static_cast<size_t>(next)];
    } else {
      keep_[r] = state_.last(rows_[r].seq);
    }
  }
  // The old prediction goes when the new one comes.
  for (size_t r = 0; r < n; ++r)
    if (keep_[r]) state_.predicts[static_cast<size_t>(rows_[r].seq)] = 0;
  backend_.head(step_,
                {target_.data(), logprob_.data(), rank_.data(), entropy_.data(), lse_.data(), keep_.data()});
  const NonFinite bad = backend_.finish(step_);
  if (bad.row >= 0) not_finite(bad.site, bad.layer, bad.row);
  for (size_t r = 0; r < n; ++r) {
    if (!std::isfinite(lse_[r])) not_finite(Site::logits, -1, static_cast<int>(r));
    const int64_t row = rows_[r].t - spec_.first_row;
    result_.entropy.as<float>()[row] = entropy_[r];
    if (keep_[r]) {
      state_.predicts[static_cast<size_t>(rows_[r].seq)] = 1;
      state_.lse[static_cast<size_t>(rows_[r].seq)] = lse_[r];
    } else {
      result_.logprob.as<float>()[row + 1] = logprob_[r];
      result_.rank.as<int32_t>()[row + 1] = rank_[r];
    }
  }
}

void Runner::finite(Site site, int layer) {
  const int bad = backend_.nonfinite_row(step_);
  if (bad >= 0) not_finite(site, layer, bad);
}

void Runner::not_finite(Site site, int layer, int r) const {
  const TileRow& row = rows_[static_cast<size_t>(r)];
  fail(Code::nonfinite, (layer < 0 ? std::string() : "layers." + std::to_string(layer) + ".") + name(site),
       "row " + std::to_string(row.t) + " (position " + std::to_string(row.position) + ", id " +
           std::to_string(row.id) + ") has a value that is not finite");
}

void Runner::finish() {
  result_.captures = captures_.finish();
  result_.rows = made_;
  if (profiler_) result_.profile = profiler_->finish(result_.captures, made_);
  const size_t bytes = 4 * static_cast<size_t>(made_);
  result_.logprob.trim(bytes);
  result_.entropy.trim(bytes);
  result_.rank.trim(bytes);
  const size_t vocab = static_cast<size_t>(c_.vocab), sequences = static_cast<size_t>(state_.sequences());
  result_.last = Counted(4 * sequences * vocab, "results");
  result_.last.trim(4 * sequences * vocab);
  for (size_t s = 0; s < sequences; ++s) {
    float* out = result_.last.as<float>() + s * vocab;
    if (state_.predicts[s]) std::copy_n(state_.last(static_cast<int>(s)), vocab, out);
    else std::fill_n(out, vocab, std::numeric_limits<float>::quiet_NaN());
  }
}

void check_batch(const Config& c, const RunSpec& spec, int sequences) {
  const Batch& b = spec.batch;
  if (static_cast<int>(b.lengths.size()) != sequences)
    fail(Code::argument, "batch.lengths",
         "has " + std::to_string(b.lengths.size()) + " entries, the state " + std::to_string(sequences) +
             " sequences");
  int64_t total = 0;
  for (const int32_t n : b.lengths) {
    if (n < 0) fail(Code::argument, "batch.lengths", "holds a negative length");
    total += n;
  }
  if (total != static_cast<int64_t>(b.ids.size()))
    fail(Code::argument, "batch.lengths",
         "adds up to " + std::to_string(total) + " rows, ids has " + std::to_string(b.ids.size()));
  if (total == 0 && !spec.generation) fail(Code::argument, "batch.ids", "is empty");
  for (size_t i = 0; i < b.ids.size(); ++i)
    if (b.ids[i] < 0 || b.ids[i] >= c.vocab)
      fail(Code::argument, "batch.ids",
           "id " + std::to_string(b.ids[i]) + " at row " + std::to_string(i) +
               " is outside of the vocabulary of " + std::to_string(c.vocab));
  if (b.embed_values.size() != b.embed_rows.size() * static_cast<size_t>(c.d))
    fail(Code::argument, "batch.embeds",
         "has " + std::to_string(b.embed_values.size()) + " values for " +
             std::to_string(b.embed_rows.size()) + " rows of " + std::to_string(c.d));
  for (const int32_t r : b.embed_rows)
    if (r < 0 || r >= total)
      fail(Code::argument, "batch.embeds", "row " + std::to_string(r) + " is not in the batch");
  if (spec.generation && sequences != 1) fail(Code::argument, "generate", "takes one sequence only");
}

RunResult run(State& state, const RunSpec& spec, RunWatch& watch) {
  check_batch(state.model().config, spec, state.sequences());
  if (state.broken)
    fail(Code::argument, "state", "was stopped in the middle of a chunk and cannot be continued");
  for (size_t s = 0; s < state.position.size(); ++s)
    if (state.position[s] + spec.batch.lengths[s] > state.context())
      fail(Code::argument, "sequence " + std::to_string(s),
           "holds " + std::to_string(state.position[s]) + " tokens and gets " +
               std::to_string(spec.batch.lengths[s]) + " more, its context is " +
               std::to_string(state.context()));
  if (spec.generation && spec.batch.ids.empty() && !state.predicts[0])
    fail(Code::argument, "batch.ids", "is empty, and the state has nothing to go on from");
  return Runner(state, spec, watch).run();
}

}  // namespace moescope
