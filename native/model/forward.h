// One run: the new rows of a state's sequences through the model in tiles, then, if asked, token after token.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "model/profile.h"
#include "model/state.h"
#include "taps/capture.h"
#include "taps/edits.h"

namespace moescope {

struct Batch {
  std::vector<int32_t> ids;
  std::vector<int32_t> lengths;  // [sequences]
  std::vector<int32_t> embed_rows;
  std::vector<float> embed_values;  // [embed_rows, d]
};

struct Generation {
  int max_tokens = 0;
  Sampling sampling;
  std::vector<int32_t> stop_ids;
};

struct RunSpec {
  Batch batch;
  std::vector<CaptureSpec> captures;
  std::vector<Edit> edits;
  int tile = 0;  // 0: the backend's choice
  int32_t first_row = 0;
  std::optional<Generation> generation;
  /** Tell where the time goes. Changes no value. */
  bool profile = false;
};

struct RunResult {
  std::vector<Captured> captures;
  Counted logprob, entropy, rank;  // [rows]
  Counted last;                    // [sequences, vocab]
  int64_t rows = 0;
  std::vector<int32_t> ids;  // generated
  const char* reason = "length";
  double prefill_ms = 0;
  double decode_ms = 0;
  std::optional<Profile> profile;
};

/** What is told while a run goes on. */
struct RunWatch {
  Control control;
  std::function<void(int32_t id)> token;
};

/** Throws `argument` for a batch that the state or the model cannot take; called before a run is queued, too.
 */
void check_batch(const Config&, const RunSpec&, int sequences);

/** Throws `argument`, `budget`, `memory`, `cancelled` or `nonfinite`. After a throw the state holds the rows
 * of whole tiles. A generation that is cancelled does not throw: it ends with reason "cancel" and the tokens
 * whose rows are complete. */
RunResult run(State&, const RunSpec&, RunWatch&);

}  // namespace moescope
