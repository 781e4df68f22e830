// What a sequence leaves behind: keys and values, its position, and the logits that predict its next token.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "backend/store.h"
#include "model/model.h"

namespace moescope {

/** Keys and values of one sequence. Chunked layers keep one chunk, nothing older; global layers grow up to
 * the context. In the machine's memory the addresses are reserved whole and pages come as they are written,
 * so growing copies nothing; a device's memory is taken whole. */
class KvCache {
 public:
  KvCache(const Config&, Backend&, int64_t context);
  /** Bytes written when the sequence is `position` long. */
  static uint64_t bytes(const Config&, const Backend&, int64_t position);
  const KvLayer* layers() const { return layers_.data(); }

 private:
  Store store_;
  std::vector<KvLayer> layers_;
};

class State {
 public:
  /** Throws `memory` when the caches do not fit. */
  State(std::shared_ptr<Model>, int sequences, int64_t context);
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  int sequences() const { return static_cast<int>(position.size()); }
  int64_t context() const { return context_; }
  Model& model() const { return *model_; }
  const KvLayer* kv(int sequence) const { return caches_[static_cast<size_t>(sequence)].layers(); }
  float* last(int sequence) const { return last_.as<float>() + int64_t{sequence} * model_->config.vocab; }
  /** Tells the model's account how much of the caches is in use. */
  void account();

  std::vector<int64_t> position;
  /** The last row's logits are there. */
  std::vector<uint8_t> predicts;
  /** Log of the sum of exponentials of those logits. */
  std::vector<float> lse;
  /** Stopped in the middle of a tile that had begun to overwrite a chunk; it cannot be continued. */
  bool broken = false;

 private:
  std::shared_ptr<Model> model_;
  int64_t context_;
  std::vector<KvCache> caches_;
  Block last_;
  uint64_t accounted_ = 0;
};

}  // namespace moescope
