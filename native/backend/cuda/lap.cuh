// Points of time on the device's own clock: events between the verbs of a profiled tile.
#pragma once

#include <vector>

#include "backend/cuda/check.cuh"

namespace moescope::cuda {

class EventLaps {
 public:
  EventLaps() = default;
  ~EventLaps();
  EventLaps(const EventLaps&) = delete;
  EventLaps& operator=(const EventLaps&) = delete;

  /** Notes when the stream has come this far. Does not wait. */
  void note(cudaStream_t);
  /** Waits for the last note; milliseconds between the notes, the first `n` of them. The notes are forgotten,
   * their events kept. */
  void take(double* ms, size_t n);

 private:
  std::vector<cudaEvent_t> events_;
  size_t used_ = 0;
};

}  // namespace moescope::cuda
