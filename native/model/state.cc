#include "model/state.h"

#include <algorithm>
#include <string>

#include "base/error.h"

namespace moescope {
namespace {

int64_t slots_of(const Config& c, int layer, int64_t positions) {
  return c.chunks(layer) ? std::min(c.chunk, positions) : positions;
}

uint64_t bytes_of_slot(const Config& c, const Backend& b) {
  return 2 * b.kv_bytes() * static_cast<uint64_t>(c.kv_width());
}

}  // namespace

uint64_t KvCache::bytes(const Config& c, const Backend& b, int64_t position) {
  uint64_t slots = 0;
  for (int l = 0; l < c.layer_count(); ++l) slots += static_cast<uint64_t>(slots_of(c, l, position));
  return slots * bytes_of_slot(c, b);
}

KvCache::KvCache(const Config& c, Backend& backend, int64_t context)
    : store_(backend, bytes(c, backend, context), "KV cache") {
  std::byte* at = store_.data();
  for (int l = 0; l < c.layer_count(); ++l) {
    const int64_t slots = slots_of(c, l, context);
    const uint64_t bytes = static_cast<uint64_t>(slots) * bytes_of_slot(c, backend);
    layers_.push_back({at, at + bytes / 2, slots});
    at += bytes;
  }
}

State::State(std::shared_ptr<Model> model, int sequences, int64_t context)
    : model_(std::move(model)), context_(context) {
  const Config& c = model_->config;
  const uint64_t free = model_->backend->free_bytes();
  const double wanted =
      static_cast<double>(sequences) * (static_cast<double>(KvCache::bytes(c, *model_->backend, context)) +
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
  for (const int64_t p : position) used += KvCache::bytes(model_->config, *model_->backend, p);
  model_->kv_bytes += used - accounted_;
  accounted_ = used;
}

}  // namespace moescope
