// The backend on the device: activations of a tile, and a verb a file over them.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "backend/backend.h"
#include "backend/cuda/inject.h"
#include "backend/cuda/lap.cuh"
#include "backend/cuda/lt.cuh"
#include "backend/cuda/outbox.cuh"
#include "backend/cuda/step.cuh"

namespace moescope::cuda {

struct Queue;
using MlpPart = Matrix Mlp::*;

/** A matrix, or one of a layer's experts by number. */
struct Weight {
  const void* data = nullptr;
  const void* const* experts = nullptr;  // [experts], on the device
  Format format = Format::f32;
  int64_t rows = 0, cols = 0;
  const std::vector<Mlp>* mlps = nullptr;  // the same on the host
  MlpPart part = nullptr;
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
  /** So many rows go through the kernels that read each weight once a row. */
  static constexpr int few_rows = 8;

  /** `fast`: wide products on the tensor cores in bf16, decode in fused kernels; else f32 activations
   * throughout. */
  Cuda(const Config&, const Weights&, bool fast);
  ~Cuda();

  const char* device_name() const { return name_; }
  void* take(size_t bytes, const char* what);
  void give_back(void*);
  uint64_t free_bytes() const;
  double copy_rate() const;
  double read_rate() const;
  void upload(void* to, const void* from, size_t bytes) const;
  void download(void* to, const void* from, size_t bytes) const;
  int64_t store(const Matrix&, void* dst, const void* rows, SourceType, int64_t begin, int64_t end);
  void draw(const Matrix&, void* dst, const RandomFill&, int64_t begin, int64_t end);
  /** int4 as f32. */
  void unpack(const Matrix&, float* dst, int64_t begin, int64_t end);

  void reserve(int rows);
  /** Gives the staging back. */
  void loaded();
  size_t kv_bytes() const { return kv_bytes_; }
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

  bool ahead(const Step&, const Ahead&);
  void ahead_queue();
  Drawn ahead_wait();
  void ahead_end(float* logits);

 private:
  struct Bare {};
  /** Holds nothing yet. When the other constructor fails, what this one made is destroyed. */
  Cuda(const Config&, const Weights&, bool fast, Bare);

  const LayerWeights& layer(int l) const { return w.layers[static_cast<size_t>(l)]; }
  const LayerKind& kind(int l) const { return c.layers[static_cast<size_t>(l)]; }
  /** Staging of one loading thread. */
  struct Stage {
    Buffer<In::pinned> host;
    Buffer<In::device> device, bad;
    cudaStream_t stream = nullptr;
    ~Stage() {
      if (stream) (void)cudaStreamDestroy(stream);
    }
  };
  /** Counts what the step's buffers have grown to. */
  void count_scratch();
  std::unique_ptr<Stage> take_stage();
  void give_stage(std::unique_ptr<Stage>);

  void use() const { check(cudaSetDevice(device_), "device"); }

  // product.cu
  Weight weight(const Matrix&) const;
  Weight weight(int layer, MlpPart part);
  /** y [m, rows of w] = x [m, cols] w^T; with `choice`, slot by slot [rows * topk], by each slot's expert. */
  void multiply(const Weight&, const float* x, float* y, int m, const int32_t* choice = nullptr);
  void multiply_experts(const Weight& weight, const float* x, float* y, int rows) {
    multiply(weight, x, y, rows * c.topk, a.choice);
  }

  // wide.cu: the same by cuBLASLt, activations rounded to bf16.
  bool wide_ok(const Weight&);
  void multiply_wide(const Weight&, const float* x, float* y, int m);
  void multiply_experts_wide(const Weight&, const float* x, float* y, int m);
  void multiply_16(const Matrix&, const uint16_t* x, float* y, int m);
  void counts_to_host();

  // rows.cu
  void rmsnorm(float* y, const float* x, const Matrix& weight, int rows) const;
  void add(float* x, const float* y, int64_t n) const;
  void swiglu(float* act, const float* gate, const float* up, int64_t n) const;

  // watch.cu: edits and taps of rows [row0, row0 + rows) of a site; `values` begins with row0.
  void watch(const Step&, Site, int layer, float* values, int row0, int rows);
  void watch(const Step& s, Site site, int layer, float* values) { watch(s, site, layer, values, 0, s.rows); }
  bool watched(const Step& s, Site site, int layer) const { return static_cast<bool>(s.at(site, layer)); }
  void keep(const Step&, const Tap&, const SiteShape&, const float* values, int row0, int rows);

  // attend.cu, flash.cu
  void attend_rows(int layer, int row0, int rows, bool summary);
  bool flash_ok(const Segment&) const;
  void flash(const Segment&, int layer);
  void keep_pattern(const Step&, int layer, int row0, int rows);
  void group(int rows);
  TemperatureLaw temperature_law() const;

  // decode.cu
  bool fused_attention(const Step&, int layer) const;
  bool fused_ffn(const Step&, int layer) const;
  void decode_attention_layer(const Step&, int layer);
  void decode_ffn_layer(const Step&, int layer);
  void decode_step();
  /** A lap, where the steps are profiled. */
  void note();
  void keep_in_slot(const Tap&, const SiteShape&, const float* values);
  void place_taps();
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

  std::mutex stages_mutex_;
  std::vector<std::unique_ptr<Stage>> stages_;

  const bool fast_;
  const size_t kv_bytes_;  // of an element of keys and values: bf16, or f32
  Lt lt_;
  Buffer<In::device> widened_, x16_,
      sorted_;                 // a matrix in bf16, rows in bf16, products in the order of experts
  Buffer<In::pinned> counts_;  // [experts + 1] as begin_
  cudaEvent_t counted_ = nullptr;

  int rows_ = 0, head_rows_ = 0;
  Activations a{};
  Buffer<In::device> block_;
  std::atomic<size_t> scratch_bytes_{0}, pinned_bytes_{0};
  DeviceStep step_;
  std::unique_ptr<Queue> queue_;  // made when first used
  bool ahead_active_ = false;
  Outbox outbox_;
  EventLaps laps_;
};

}  // namespace moescope::cuda
