#include "model/weights.h"

namespace moescope {

std::vector<Slot> slots_of(const Config& c, Weights& w) {
  using Use = Slot::Use;
  std::vector<Slot> slots;
  const auto add = [&](std::string name, const char* part, Matrix& m, int64_t rows, int64_t cols, Use use) {
    m.rows = rows;
    m.cols = cols;
    slots.push_back({std::move(name), part, &m, use});
  };
  const auto mlp = [&](const std::string& at, const char* part, Mlp& m, int width) {
    add(at + "gate", part, m.gate, width, c.d, Use::multiply);
    add(at + "up", part, m.up, width, c.d, Use::multiply);
    add(at + "down", part, m.down, c.d, width, Use::multiply);
  };
  add("embed", "embed", w.embed, c.vocab, c.d, c.tied_embeddings ? Use::multiply : Use::lookup);
  w.layers.resize(c.layers.size());
  for (size_t l = 0; l < c.layers.size(); ++l) {
    LayerWeights& layer = w.layers[l];
    const std::string at = "layers." + std::to_string(l) + ".";
    add(at + "norm.attn", "attention", layer.norm_attn, 1, c.d, Use::vector);
    add(at + "attn.q", "attention", layer.q, c.q_width(), c.d, Use::multiply);
    add(at + "attn.k", "attention", layer.k, c.kv_width(), c.d, Use::multiply);
    add(at + "attn.v", "attention", layer.v, c.kv_width(), c.d, Use::multiply);
    add(at + "attn.o", "attention", layer.o, c.d, c.q_width(), Use::multiply);
    add(at + "norm.ffn", c.layers[l].moe ? "shared" : "dense", layer.norm_ffn, 1, c.d, Use::vector);
    if (!c.layers[l].moe) {
      mlp(at + "mlp.", "dense", layer.mlp, c.ff_dense);
      continue;
    }
    add(at + "router", "router", layer.router, c.experts, c.d, Use::router);
    mlp(at + "shared.", "shared", layer.shared, c.ff);
    layer.experts.resize(static_cast<size_t>(c.experts));
    for (size_t e = 0; e < layer.experts.size(); ++e)
      mlp(at + "expert." + std::to_string(e) + ".", "experts", layer.experts[e], c.ff);
  }
  add("final.norm", "head", w.final_norm, 1, c.d, Use::vector);
  if (!c.tied_embeddings) add("unembed", "head", w.unembed, c.vocab, c.d, Use::multiply);
  return slots;
}

}  // namespace moescope
