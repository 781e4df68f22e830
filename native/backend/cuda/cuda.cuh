// The backend on the device: activations of a tile, and a verb a file over them.
#pragma once

#include <atomic>
#include <vector>

#include "backend/backend.h"
#include "backend/cuda/inject.h"
#include "backend/cuda/lap.cuh"
#include "backend/cuda/outbox.cuh"
#include "backend/cuda/step.cuh"

namespace moescope::cuda {

/** A matrix, or one of a layer's experts by number. */
struct Weight {
  const void* data = nullptr;
  const void* const* experts = nullptr;  // [experts], on the device
  Format format = Format::f32;
  int64_t rows = 0, cols = 0;
};

/** [rows, ...] each. */
struct Activations {
  float *x, *n, *out, *q, *k, *v, *z, *lse, *stats, *logit, *score, *choice_f, *temperature;
  float *in, *gate, *up, *act, *each, *routed, *shared, *shared_gate, *shared_up;
  float *cos, *sin, *cos_global, *sin_global, *logits;
  int32_t *choice, *slots;  // slots: row * topk + place, by the expert that was chosen there
};

class Cuda {
 public:
  Cuda(const Config&, const Weights&);
  ~Cuda();

  const char* device_name() const { return name_; }
  void* take(size_t bytes, const char* what);
  void give_back(void*);
  uint64_t free_bytes() const;
  double copy_rate() const;
  void upload(void* to, const void* from, size_t bytes) const;
  void download(void* to, const void* from, size_t bytes) const;

  void reserve(int rows);
  size_t scratch_bytes() const { return scratch_bytes_; }
  size_t pinned_bytes() const { return pinned_bytes_; }
  void embed(const Step&);
  void qkv(const Step&, int layer);
  void attend(const Step&, int layer);
  void out(const Step&, int layer);
  void route_ffn(const Step&, int layer);
  void ffn_down(const Step&, int layer);
  void head(const Step&, const HeadOut&);
  NonFinite finish(const Step&);
  void lap();
  void laps(double* ms, size_t n);
  /** The fault that a test asked for in this layer. */
  void injected(int layer) const;

 private:
  struct Bare {};
  /** Holds nothing yet. When the other constructor fails, what this one made is destroyed. */
  Cuda(const Config& config, const Weights& weights, Bare) : c(config), w(weights) {}

  const LayerWeights& layer(int l) const { return w.layers[static_cast<size_t>(l)]; }
  const LayerKind& kind(int l) const { return c.layers[static_cast<size_t>(l)]; }
  void use() const { check(cudaSetDevice(device_), "device"); }

  // product.cu
  Weight weight(const Matrix&) const;
  Weight weight(int layer, Matrix Mlp::* part);
  /** y [m, rows of w] = x [m, cols] w^T. */
  void multiply(const Weight&, const float* x, float* y, int m) const;
  /** Slot by slot: y [rows * topk, rows of w] from x [rows * topk, cols], by each slot's expert. */
  void multiply_experts(const Weight&, const float* x, float* y, int rows) const;

  // rows.cu
  void rmsnorm(float* y, const float* x, const Matrix& weight, int rows) const;
  void add(float* x, const float* y, int64_t n) const;
  void swiglu(float* act, const float* gate, const float* up, int64_t n) const;

  // watch.cu: edits and taps of rows [row0, row0 + rows) of a site; `values` begins with row0.
  void watch(const Step&, Site, int layer, float* values, int row0, int rows);
  void watch(const Step& s, Site site, int layer, float* values) { watch(s, site, layer, values, 0, s.rows); }
  bool watched(const Step& s, Site site, int layer) const { return static_cast<bool>(s.at(site, layer)); }
  void keep(const Step&, const Tap&, const SiteShape&, const float* values, int row0, int rows);

  void keep_pattern(const Step&, int layer, int row0, int rows);
  void group(int rows);
  void look_for_nonfinite(const Step&, int layer);
  void pace(const Step&, int layer);

  const Config& c;
  const Weights& w;
  Inject inject_;
  int device_ = 0;
  char name_[128] = {};
  cudaStream_t stream_ = nullptr;
  cudaEvent_t layer_done_[2] = {};
  float* inv_freq_ = nullptr;
  double* inv_freq64_ = nullptr;
  std::vector<const void**> expert_tables_;  // [layers * 3], made when first used
  int32_t* begin_ = nullptr;                 // [experts + 1] where an expert's slots begin
  int32_t* cursor_ = nullptr;                // [experts]
  int32_t* bad_ = nullptr;                   // [layers + 1] first row that is not finite * 64 + site

  int rows_ = 0, head_rows_ = 0;
  Activations a{};
  Buffer<In::device> block_;
  std::atomic<size_t> scratch_bytes_{0}, pinned_bytes_{0};
  DeviceStep step_;
  Outbox outbox_;
  EventLaps laps_;
};

}  // namespace moescope::cuda
