// One run on its way: the rows of the batch in tiles (`forward.cc`), then token after token (`generate.cc`).
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "base/error.h"
#include "model/forward.h"

namespace moescope {

using Clock = std::chrono::steady_clock;
inline double ms_since(Clock::time_point t) {
  return std::chrono::duration<double, std::milli>(Clock::now() - t).count();
}

class Runner {
 public:
  Runner(State&, const RunSpec&, RunWatch&);
  RunResult run();

 private:
  Control& control() { return watch_.control; }
  void poll() {
    if (control().cancel.load(std::memory_order_relaxed))
      fail(Code::cancelled, "", "stopped before it was done");
  }
  int64_t last_position() const;
  uint64_t result_bytes() const;

  // forward.cc
  void prefill();
  void tile();
  bool crosses(const Segment&) const;
  void describe();
  void head();
  void finite(Site, int layer);
  [[noreturn]] void not_finite(Site, int layer, int r) const;
  void finish();

  // generate.cc
  void generate(const Generation&);
  bool generate_ahead(const Generation&);
  [[noreturn]] void find_nonfinite(int32_t id, int step);
  TileRow row_of(int step, int64_t position, int32_t id) const;
  void collect(int step, int64_t position, int32_t id);
  void took(const Drawn&, int step);
  int32_t sample(const Sampling&, int step);
  void know_target(int sequence, int row, int32_t id);

  State& state_;
  const RunSpec& spec_;
  RunWatch& watch_;
  const Config& c_;
  Backend& backend_;
  int batch_rows_;
  int decode_rows_;
  EditSet edits_;
  CaptureSet captures_;
  std::vector<Point> points_;
  std::vector<const float*> given_;  // [batch rows] given embeddings
  std::vector<int32_t> ends_;        // one beyond the last batch row of each sequence

  // The tile being collected or run.
  TileRows rows_;
  std::vector<Segment> segments_;
  std::vector<int32_t> ids_, positions_, target_, rank_;
  std::vector<const float*> embeds_;
  std::vector<float> logprob_, entropy_, lse_;
  std::vector<float*> keep_;
  Step step_;

  RunResult result_;
  int64_t made_ = 0;
  std::optional<Profiler> profiler_;
};

}  // namespace moescope
