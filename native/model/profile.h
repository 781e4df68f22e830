// Where the time of a run goes: a note after each verb, added up by phase and verb.
#pragma once

#include <vector>

#include "model/work.h"
#include "taps/capture.h"

namespace moescope {

struct Profile {
  struct Row {
    bool decode = false;
    Verb verb = Verb::embed;
    int64_t calls = 0;
    double ms = 0;
    Work work;
  };
  /** Verbs that were called, prefill first. */
  std::vector<Row> rows;
  /** Bytes a second that the memory gives when it is read. 0: not measured. */
  double limit = 0;
};

class Profiler {
 public:
  explicit Profiler(const Model&);

  /** Before the first verb of a tile. */
  void begin();
  /** After a verb. */
  void lap(Verb, int layer);
  /** After the last one: waits. */
  void end(const Segment*, int count, bool decode);
  /** After a step that ran ahead of the host and has left its laps (`Ahead::profile`). */
  void step(const Segment&);
  void sampled(double ms);
  /** `rows`: of the whole run. Where `router.choice` of all of them was kept, the experts that a tile read
   * are known; elsewhere they are as many as its rows could choose. */
  Profile finish(const std::vector<Captured>&, int64_t rows);

 private:
  struct Call {
    Verb verb;
    int layer;
    double ms;
  };
  struct Tile {
    TileShape shape;
    bool decode;
    std::vector<Call> calls;
  };
  int64_t experts(const Captured* choice, int64_t first, int rows) const;

  const Model& model_;
  std::vector<Call> calls_;
  std::vector<Tile> tiles_;
  std::vector<double> samples_;
};

}  // namespace moescope
