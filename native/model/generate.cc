// Token after token: drawn by the host from the last row's logits, or by a device that runs ahead of it.
#include <algorithm>
#include <limits>

#include "model/logits.h"
#include "model/runner.h"

namespace moescope {

void Runner::generate(const Generation& g) {
  if (generate_ahead(g)) return;
  const Clock::time_point start = Clock::now();
  const auto elapsed = [&] { result_.decode_ms = ms_since(start); };
  for (int step = 0; step < g.max_tokens && state_.position[0] < state_.context(); ++step) {
    poll();
    const int32_t id = sample(g.sampling, step);
    const int row = batch_rows_ + step;
    know_target(0, row, id);
    result_.ids.push_back(id);
    if (watch_.token) watch_.token(id);
    collect(step, state_.position[0], id);
    try {
      tile();
    } catch (const Error&) {
      result_.ids.pop_back();  // its row was not made
      elapsed();
      throw;
    }
    elapsed();
    if (std::find(g.stop_ids.begin(), g.stop_ids.end(), id) != g.stop_ids.end()) {
      result_.reason = "stop";
      return;
    }
  }
  result_.reason = "length";
}

/** The row of a generated token. */
TileRow Runner::row_of(int step, int64_t position, int32_t id) const {
  return {spec_.first_row + batch_rows_ + step, -1, 0, static_cast<int32_t>(position), step, id};
}

/** A tile of that row alone. */
void Runner::collect(int step, int64_t position, int32_t id) {
  rows_ = {row_of(step, position, id)};
  segments_ = {{0, 1, position, state_.kv(0)}};
}

/** The same where the device draws for itself: several steps are on their way while the host reads the
 * oldest. False: it does not, and nothing has happened. */
bool Runner::generate_ahead(const Generation& g) {
  const Clock::time_point start = Clock::now();
  const int most = static_cast<int>(std::min<int64_t>(g.max_tokens, state_.context() - state_.position[0]));
  if (most < 1 || backend_.ahead_most() == 0 || !edits_.ahead()) return false;
  const int64_t first = state_.position[0];
  std::vector<uint16_t> variants;
  if (!edits_.empty()) {
    TileRows rows;
    for (int i = 0; i < most; ++i) rows.push_back(row_of(i, first + i, 0));
    EditTables tables;
    edits_.prepare(rows, tables);
    variants.assign(tables.variant, tables.variant + most);
  }
  collect(0, first, 0);
  describe();
  const Ahead ahead{g.sampling,
                    g.stop_ids.data(),
                    static_cast<int>(g.stop_ids.size()),
                    most,
                    variants.empty() ? nullptr : variants.data(),
                    state_.last(0),
                    state_.lse[0],
                    profiler_.has_value()};
  if (!backend_.ahead(step_, ahead)) {
    rows_.clear();
    segments_.clear();
    return false;
  }
  bool stopped = false;
  int queued = 0;
  for (int done = 0; !stopped; ++done) {
    const int on_the_way = profiler_ ? 1 : backend_.ahead_most();
    while (queued < most && queued - done < on_the_way && !control().cancel.load()) {
      backend_.ahead_queue();
      ++queued;
    }
    if (done == queued) break;
    rows_ = {row_of(done, first + done, 0)};
    captures_.prepare(rows_);
    const Drawn drawn = backend_.ahead_wait();
    if (!drawn.finite) {
      backend_.ahead_end(state_.last(0));
      find_nonfinite(drawn.id, done);
    }
    if (profiler_) {
      const Segment segment{0, 1, first + done, state_.kv(0)};
      profiler_->step(segment);
    }
    took(drawn, done);
    stopped = std::find(g.stop_ids.begin(), g.stop_ids.end(), drawn.id) != g.stop_ids.end();
    result_.decode_ms = ms_since(start);
  }
  backend_.ahead_end(state_.last(0));
  rows_.clear();
  segments_.clear();
  if (control().cancel.load() && !stopped && queued < most) poll();
  result_.reason = stopped ? "stop" : "length";
  return true;
}

/** The row once more by the verbs, which say where it was. */
void Runner::find_nonfinite(int32_t id, int step) {
  const int64_t position = state_.position[0];
  state_.predicts[0] = 0;
  collect(step, position, id);
  tile();
  fail(Code::nonfinite, "logits", "position " + std::to_string(position) + " has a value that is not finite");
}

/** A step's row is made. */
void Runner::took(const Drawn& drawn, int step) {
  const int row = batch_rows_ + step;
  result_.logprob.as<float>()[row] = drawn.logprob;
  result_.rank.as<int32_t>()[row] = drawn.rank;
  result_.entropy.as<float>()[row] = drawn.entropy;
  result_.ids.push_back(drawn.id);
  if (watch_.token) watch_.token(drawn.id);
  captures_.commit();
  ++made_;
  ++state_.position[0];
  state_.lse[0] = drawn.lse;
  state_.account();
  ++control().done;
}

int32_t Runner::sample(const Sampling& sampling, int step) {
  const uint64_t n = static_cast<uint64_t>(step);
  if (!profiler_) return backend_.sample(state_.last(0), sampling, n);
  const Clock::time_point start = Clock::now();
  const int32_t id = backend_.sample(state_.last(0), sampling, n);
  profiler_->sampled(ms_since(start));
  return id;
}

/** A row's own token, from the logits of the row before it. */
void Runner::know_target(int sequence, int row, int32_t id) {
  float* logprob = result_.logprob.as<float>() + row;
  int32_t* rank = result_.rank.as<int32_t>() + row;
  if (state_.predicts[static_cast<size_t>(sequence)]) {
    const float* logits = state_.last(sequence);
    *logprob = logits[id] - state_.lse[static_cast<size_t>(sequence)];
    *rank = rank_of(logits, c_.vocab, id);
  } else {
    *logprob = std::numeric_limits<float>::quiet_NaN();
    *rank = -1;
  }
}

}  // namespace moescope
