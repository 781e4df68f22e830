#include "model/state.h"

#include <algorithm>
#include <string>

#include "base/error.h"

namespace moescope {
namespace {

int64_t slots_of(const Config& c, int layer, int64_t positions) {
  return c.chunks(layer) ? std::min(c.chunk, positions) : positions;
}

uint64_t bytes_of_slot(const Config& c) { return 2 * sizeof(float) * static_cast<uint64_t>(c.kv_width()); }

}  // namespace

uint64_t KvCache::bytes(const Config& c, int64_t context) { return used(c, context); }

uint64_t KvCache::used(const Config& c, int64_t position) {
  uint64_t slots = 0;
  for (int l = 0; l < c.layer_count(); ++l) slots += static_cast<uint64_t>(slots_of(c, l, position));
  return slots * bytes_of_slot(c);
}

KvCache::KvCache(const Config& c, Backend& backend, int64_t context)
    : store_(backend, bytes(c, context), "KV cache") {
  float* at = reinterpret_cast<float*>(store_.data());
  for (int l = 0; l < c.layer_count(); ++l) {
    const int64_t slots = slots_of(c, l, context);
    layers_.push_back({at, at + slots * c.kv_width(), slots});
    at += 2 * slots * c.kv_width();
  }
}

State::State(std::shared_ptr<Model> model, int sequences, int64_t context)
    : model_(std::move(model)), context_(context) {
  const Config& c = model_->config;
  const uint64_t free = model_->backend->free_bytes();
  const double wanted = static_cast<double>(sequences) * (static_cast<double>(KvCache::bytes(c, context)) +
                                                          4.0 * static_cast<double>(c.vocab));
  if (wanted > static_cast<double>(free))
    fail(Code::memory, "KV cache",
         std::to_string(sequences) + " sequences of " + std::to_string(context) + " tokens take " +
             std::to_string(static_cast<uint64_t>(wanted)) + " bytes, " + std::to_string(free) + " are free" +
             (model_->backend->on_device() ? " on the device" : ""));
  for (int i = 0; i < sequences; ++i) caches_.emplace_back(c, *model_->backend, context);
  last_ = Block(sizeof(float) * static_cast<size_t>(sequences) * static_cast<size_t>(c.vocab), "logits",
                Contents::any);
  position.resize(static_cast<size_t>(sequences));
  predicts.resize(static_cast<size_t>(sequences));
  lse.resize(static_cast<size_t>(sequences));
}

State::~State() { model_->kv_bytes -= accounted_; }

void State::account() {
  uint64_t used = 0;
  for (const int64_t p : position) used += KvCache::used(model_->config, p);
  model_->kv_bytes += used - accounted_;
  accounted_ = used;
}

}  // namespace moescope
