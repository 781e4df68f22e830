#include "backend/cuda/cuda.cuh"
#include "backend/cuda/lap.cuh"

namespace moescope::cuda {

EventLaps::~EventLaps() {
  for (const cudaEvent_t e : events_) (void)cudaEventDestroy(e);
}

void EventLaps::note(cudaStream_t stream) {
  if (used_ == events_.size()) {
    cudaEvent_t event{};
    check(cudaEventCreate(&event), "lap");
    events_.push_back(event);
  }
  check(cudaEventRecord(events_[used_], stream), "lap");
  ++used_;
}

void EventLaps::take(double* ms, size_t n) {
  const size_t used = used_;
  used_ = 0;
  if (used == 0) return;
  check(cudaEventSynchronize(events_[used - 1]), "lap");
  for (size_t i = 0; i < n && i + 1 < used; ++i) {
    float between = 0;
    check(cudaEventElapsedTime(&between, events_[i], events_[i + 1]), "lap");
    ms[i] = static_cast<double>(between);
  }
}

void Cuda::lap() {
  use();
  laps_.note(stream_);
}

void Cuda::laps(double* ms, size_t n) {
  use();
  laps_.take(ms, n);
}

}  // namespace moescope::cuda
