// What a run keeps: one block of memory a captured site and layer, filled by the verbs through `Tap`s.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/budget.h"
#include "taps/rows.h"

namespace moescope {

struct CaptureSpec {
  Site site = Site::embed;
  int layer = -1;
  std::optional<std::vector<int32_t>> rows;  // of the prefill batch; none: all
  bool decode = false;
  std::optional<std::vector<int32_t>> heads;
  std::optional<std::vector<int32_t>> experts;
};

/** One site of one layer, [rows, shape...] as engine/native.ts says. */
struct Captured {
  Site site;
  int layer;
  std::vector<int64_t> shape;
  Counted data;
  std::vector<int32_t> rows;
};

class CaptureSet {
 public:
  /** Sizes everything and checks it against the budget before anything is allocated: throws `argument` or
   * `budget`. `keys`: what the last row may see, for patterns. `also`: bytes of the run's other results. */
  CaptureSet(const Config&, const std::vector<CaptureSpec>&, int batch_rows, int decode_rows, int64_t keys,
             uint64_t also);

  /** Hangs the taps into the points ([layers + 1][site_count]). */
  void attach(Point* points);
  /** Says where the rows of the next tile go. */
  void prepare(const TileRows&);
  /** The tile is done; without it, its rows never were. */
  void commit();
  std::vector<Captured> finish();

 private:
  /** Captures with the same row filter share it. */
  struct RowPlan {
    std::optional<std::vector<int32_t>> filter;
    bool decode;
    int64_t capacity = 0;
    std::vector<int32_t> to;    // of the tile
    std::vector<int32_t> rows;  // t of every row kept so far, tile included
    size_t committed = 0;
  };
  struct Entry {
    CaptureSpec spec;
    RowPlan* plan;
    SiteShape shape;
    int groups = 1;  // kept
    Tap tap;
    std::vector<uint8_t> heads, experts, kept;
    std::vector<int64_t> visible;  // pattern: keys of each row
    std::vector<Counted> pattern;  // pattern: one block a row, [groups, keys]
    std::vector<float*> pattern_at;
    Counted data;
  };
  RowPlan* plan_for(const CaptureSpec&);
  Captured finish_pattern(Entry&);
  void drop_unchosen(Entry&, std::vector<int32_t>& rows);

  const Config& config_;
  std::deque<RowPlan> plans_;
  std::deque<Entry> entries_;
  int batch_rows_;
  int decode_rows_;
};

}  // namespace moescope
