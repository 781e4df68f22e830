#include "model/profile.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/error.h"

namespace moescope {
namespace {

/** A device that is full has no room to measure in: then there is no limit to stand beside. */
double measured_limit(Backend& backend) {
  try {
    return backend.read_rate();
  } catch (const Error& e) {
    if (e.code() != Code::memory) throw;
    return 0;
  }
}

}  // namespace

Profiler::Profiler(const Model& model) : model_(model) {
  (void)model_.backend->laps();  // of a run that was given up
}

void Profiler::begin() {
  calls_.clear();
  model_.backend->lap();
}

void Profiler::lap(Verb verb, int layer) {
  model_.backend->lap();
  calls_.push_back({verb, layer, 0});
}

void Profiler::end(const Segment* segments, int count, bool decode) {
  const std::vector<double> ms = model_.backend->laps();
  if (ms.size() != calls_.size()) fail(Code::internal, "profile", "the notes are not as many as the verbs");
  for (size_t i = 0; i < ms.size(); ++i) calls_[i].ms = ms[i];
  Tile& tile = tiles_.emplace_back();
  tile.decode = decode;
  tile.calls = std::move(calls_);
  calls_.clear();
  for (int i = 0; i < count; ++i) tile.shape.segments.push_back({segments[i].position, segments[i].count});
}

void Profiler::step(const Segment& segment) {
  const std::vector<double> ms = model_.backend->laps();
  const int layers = model_.config.layer_count();
  if (ms.size() != static_cast<size_t>(5 * layers + 3))
    fail(Code::internal, "profile", "the notes are not as many as the verbs");
  size_t at = 0;
  sampled(ms[at++]);
  Tile& tile = tiles_.emplace_back();
  tile.decode = true;
  tile.shape.segments.push_back({segment.position, segment.count});
  tile.calls.push_back({Verb::embed, -1, ms[at++]});
  for (int l = 0; l < layers; ++l)
    for (const Verb verb : {Verb::qkv, Verb::attend, Verb::out, Verb::route_ffn, Verb::ffn_down})
      tile.calls.push_back({verb, l, ms[at++]});
  tile.calls.push_back({Verb::head, -1, ms[at]});
}

void Profiler::sampled(double ms) { samples_.push_back(ms); }

int64_t Profiler::experts(const Captured* choice, int64_t first, int rows) const {
  const Config& c = model_.config;
  if (!choice) return std::min<int64_t>(c.experts, int64_t{rows} * c.topk);
  const float* from = choice->data.as<float>() + first * c.topk;
  return static_cast<int64_t>(std::set<float>(from, from + int64_t{rows} * c.topk).size());
}

Profile Profiler::finish(const std::vector<Captured>& captures, int64_t rows) {
  std::vector<const Captured*> choices(model_.config.layers.size());
  for (const Captured& c : captures)
    if (c.site == Site::router_choice && static_cast<int64_t>(c.rows.size()) == rows)
      choices[static_cast<size_t>(c.layer)] = &c;
  std::array<std::array<Profile::Row, verb_count>, 2> sums{};
  const auto add = [&](bool decode, Verb verb, double ms, const Work& work) {
    Profile::Row& row = sums[decode][static_cast<size_t>(verb)];
    row.decode = decode;
    row.verb = verb;
    ++row.calls;
    row.ms += ms;
    row.work.bytes += work.bytes;
    row.work.flops += work.flops;
  };
  int64_t first = 0;
  for (const Tile& tile : tiles_) {
    const int n = tile.shape.rows();
    for (const Call& call : tile.calls) {
      const Captured* choice = call.layer < 0 ? nullptr : choices[static_cast<size_t>(call.layer)];
      add(tile.decode, call.verb, call.ms,
          work_of(call.verb, model_, tile.shape, call.layer, experts(choice, first, n)));
    }
    first += n;
  }
  for (const double ms : samples_) add(true, Verb::sample, ms, work_of(Verb::sample, model_, {}, -1, 0));
  Profile out;
  for (const auto& phase : sums)
    for (const Profile::Row& row : phase)
      if (row.calls > 0) out.rows.push_back(row);
  out.limit = measured_limit(*model_.backend);
  return out;
}

}  // namespace moescope
