// Points of time on the machine's clock: how long each verb took, where a verb is done when it returns.
#pragma once

#include <chrono>
#include <vector>

namespace moescope {

class Laps {
 public:
  void note() { notes_.push_back(Clock::now()); }
  /** Milliseconds between the notes, oldest first; the notes are forgotten. */
  std::vector<double> take() {
    std::vector<double> out;
    for (size_t i = 1; i < notes_.size(); ++i)
      out.push_back(std::chrono::duration<double, std::milli>(notes_[i] - notes_[i - 1]).count());
    notes_.clear();
    return out;
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::vector<Clock::time_point> notes_;
};

}  // namespace moescope
