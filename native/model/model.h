// A loaded model: config, weights, the backend that computes it, and what is known of its memory.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/store.h"
#include "base/mapped_file.h"
#include "base/memory.h"
#include "model/config.h"
#include "model/weights.h"

namespace moescope {

/** A matrix or vector of the checkpoint; strides in elements. */
struct WeightSource {
  std::string slot;
  int64_t file = 0;
  int64_t offset = 0;
  SourceType type = SourceType::f32;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t row_stride = 0;
  int64_t col_stride = 0;
};

struct LoadSpec {
  Config config;
  std::vector<std::string> files;
  std::vector<WeightSource> weights;
  struct Random {
    uint64_t seed = 0;
    double std = 0.02;
  };
  std::optional<Random> random;
  Format format = Format::f32;
  bool fast = false;
  bool cuda = false;  // instead of the CPU; `fast` there: bf16 on the tensor cores, for weights below f32
  int threads = 0;    // 0: physical cores
  /** A matrix of at least so many bytes that already is as wanted stays in the mapped file. Smaller ones are
   * copied: a file that is rewritten while it is mapped ends the process, and models that small are rewritten
   * often. */
  int64_t map_from = int64_t{256} << 20;
};

/** How a long task is watched and stopped. */
struct Control {
  std::atomic<bool> cancel{false};
  std::atomic<int64_t> done{0};
  std::atomic<int64_t> total{0};
};

struct Model {
  Config config;
  Weights weights;
  std::vector<Slot> slots;
  std::unique_ptr<Backend> backend;
  std::vector<MappedFile> files;
  Store store;

  struct NonFinite {
    std::string slot;
    int64_t count;
  };
  std::vector<NonFinite> nonfinite;
  std::atomic<uint64_t> kv_bytes{0};

  struct Part {
    const char* part;
    const char* place;
    uint64_t bytes;
  };
  std::vector<Part> memory() const;
  const Slot& slot(const std::string& name) const;
};

/** Throws `file`, `argument`, `memory` or `cancelled`. Progress counts bytes of weights. */
std::unique_ptr<Model> load_model(LoadSpec, Control&);

}  // namespace moescope
