#include "model/work.h"

namespace moescope {
namespace {

/** Elements of activations, as bytes. */
double f32(int64_t n) { return 4.0 * static_cast<double>(n); }

double bytes_of(const Model& m, const Matrix& w) {
  return static_cast<double>(w.packed ? m.backend->matrix_bytes(w.format, w.rows, w.cols)
                                      : bytes_of(w.format, w.rows, w.cols));
}

/** Of `rows` rows multiplied with the matrix. */
double flops_of(const Matrix& w, int64_t rows) {
  return 2.0 * static_cast<double>(w.rows) * static_cast<double>(w.cols) * static_cast<double>(rows);
}

/** Keys that a segment reads, and pairs of a row and a key that it sees. */
struct Seen {
  int64_t keys = 0;
  double pairs = 0;
};
Seen seen(const Config& c, const TileShape& t, int layer) {
  Seen sum;
  for (const TileShape::Segment& s : t.segments) {
    // A segment lies within one chunk.
    const int64_t before = c.chunks(layer) ? s.position % c.chunk : s.position;
    sum.keys += before + s.count;
    sum.pairs +=
        static_cast<double>(s.count) * (static_cast<double>(before) + (static_cast<double>(s.count) + 1) / 2);
  }
  return sum;
}

}  // namespace

const char* name(Verb v) {
  constexpr const char* names[] = {"embed",     "qkv",      "attend", "out",
                                   "route_ffn", "ffn_down", "head",   "sample"};
  return names[static_cast<int>(v)];
}

int TileShape::rows() const {
  int n = 0;
  for (const Segment& s : segments) n += s.count;
  return n;
}

Work work_of(Verb verb, const Model& m, const TileShape& t, int layer, int64_t experts) {
  const Config& c = m.config;
  const int64_t n = t.rows(), d = c.d, q = c.q_width(), kv = c.kv_width();
  const bool in_layer = layer >= 0;
  static const LayerWeights none;
  const LayerWeights& w = in_layer ? m.weights.layers[static_cast<size_t>(layer)] : none;
  const bool moe = in_layer && c.layers[static_cast<size_t>(layer)].moe;
  const auto weight = [&](const Matrix& x) { return bytes_of(m, x); };
  const double read = static_cast<double>(experts);
  switch (verb) {
    case Verb::embed: {
      const Matrix& table = m.weights.embed;
      return {weight(table) / static_cast<double>(table.rows) * static_cast<double>(n) + f32(n * d), 0};
    }
    case Verb::qkv:
      return {weight(w.norm_attn) + weight(w.q) + weight(w.k) + weight(w.v) + f32(n * (d + q + 2 * kv)),
              flops_of(w.q, n) + flops_of(w.k, n) + flops_of(w.v, n)};
    case Verb::attend: {
      const Seen s = seen(c, t, layer);
      return {f32(n * (q + 2 * kv)) +
                  static_cast<double>((n + s.keys) * 2 * kv) * static_cast<double>(m.backend->kv_bytes()) +
                  f32(n * q),
              4.0 * static_cast<double>(q) * s.pairs};
    }
    case Verb::out:
      return {weight(w.o) + f32(n * (q + 2 * d)), flops_of(w.o, n)};
    case Verb::route_ffn:
      if (!moe)
        return {weight(w.norm_ffn) + weight(w.mlp.gate) + weight(w.mlp.up) + f32(n * (d + c.ff_dense)),
                flops_of(w.mlp.gate, n) + flops_of(w.mlp.up, n)};
      return {weight(w.norm_ffn) + weight(w.router) + weight(w.shared.gate) + weight(w.shared.up) +
                  read * (weight(w.experts[0].gate) + weight(w.experts[0].up)) +
                  f32(n * (d + (c.topk + 1) * int64_t{c.ff})),
              flops_of(w.router, n) + flops_of(w.shared.gate, n) + flops_of(w.shared.up, n) +
                  flops_of(w.experts[0].gate, n * c.topk) + flops_of(w.experts[0].up, n * c.topk)};
    case Verb::ffn_down:
      if (!moe) return {weight(w.mlp.down) + f32(n * (c.ff_dense + 2 * d)), flops_of(w.mlp.down, n)};
      return {weight(w.shared.down) + read * weight(w.experts[0].down) +
                  f32(n * ((c.topk + 1) * int64_t{c.ff} + 2 * d)),
              flops_of(w.shared.down, n) + flops_of(w.experts[0].down, n * c.topk)};
    case Verb::head: {
      const Matrix& un = c.tied_embeddings ? m.weights.embed : m.weights.unembed;
      return {weight(m.weights.final_norm) + weight(un) + f32(n * (d + int64_t{c.vocab})), flops_of(un, n)};
    }
    case Verb::sample:
      break;
  }
  return {f32(c.vocab), 0};
}

}  // namespace moescope
