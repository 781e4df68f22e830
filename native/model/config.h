// The shape and the rules of one model: every value the step needs, none derived (`NativeConfig` of
// engine/native.ts).
#pragma once

#include <cstdint>
#include <vector>

namespace moescope {

enum class Rope : uint8_t {
  hf,       // fp32 product of position and frequency: Hugging Face's bits
  accurate  // double product of the position within its chunk: same scores, better far out
};

struct LayerKind {
  bool rope = false;     // rotates q and k (and norms them if the model does); otherwise NoPE
  bool chunked = false;  // attends within its chunk only
  bool moe = false;
};

struct Config {
  int vocab = 0;
  int d = 0;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int ff = 0;        // of each routed expert and of the shared one
  int ff_dense = 0;  // of dense layers
  int experts = 0;
  int topk = 0;
  int64_t chunk = 0;  // 0: none
  float eps = 1e-5f;
  bool qk_norm = false;
  bool temperature_tuning = false;
  double floor_scale = 8192;
  double attn_scale = 0.1;
  bool tied_embeddings = false;
  Rope rope = Rope::hf;
  std::vector<float> inv_freq;     // [head_dim / 2]
  std::vector<double> inv_freq64;  // [head_dim / 2]
  std::vector<LayerKind> layers;

  int layer_count() const { return static_cast<int>(layers.size()); }
  int q_width() const { return heads * head_dim; }
  int kv_width() const { return kv_heads * head_dim; }
  bool chunks(int layer) const { return chunk > 0 && layers[static_cast<size_t>(layer)].chunked; }
};

}  // namespace moescope
