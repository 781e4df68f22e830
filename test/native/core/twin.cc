#include "twin.h"

#include <algorithm>
#include <cmath>

namespace twin {
namespace {

using Vec = std::vector<double>;

class Twin {
 public:
  Twin(const moescope::Config& config, const fixture::Values& values) : c(config), w(values) {}

  Sites run(const std::vector<int32_t>& ids) {
    const size_t layers = c.layers.size();
    keys.resize(layers);
    vals.resize(layers);
    for (size_t p = 0; p < ids.size(); ++p) {
      const auto& table = w.at("embed");
      const auto row = table.begin() + ids[p] * c.d;
      Vec x(row, row + c.d);
      keep("embed", x);
      for (size_t l = 0; l < layers; ++l) x = layer(l, static_cast<int64_t>(p), x);
      x = norm(x, "final.norm");
      keep("final.norm", x);
      keep("logits", times(c.tied_embeddings ? "embed" : "unembed", x));
    }
    return out;
  }

 private:
  Vec layer(size_t l, int64_t p, Vec x) {
    at = "layers." + std::to_string(l) + ".";
    keep("resid.pre", x);
    const Vec a = attention(l, p, norm(x, at + "norm.attn"));
    for (size_t i = 0; i < x.size(); ++i) x[i] += a[i];
    keep("resid.mid", x);
    const Vec f = ffn(l, norm(x, at + "norm.ffn"));
    keep("ffn.out", f);
    for (size_t i = 0; i < x.size(); ++i) x[i] += f[i];
    keep("resid.post", x);
    at.clear();
    return x;
  }

  Vec attention(size_t l, int64_t p, const Vec& n) {
    keep("attn.in", n);
    Vec q = times(at + "attn.q", n), k = times(at + "attn.k", n);
    const Vec v = times(at + "attn.v", n);
    keep("attn.q", q);
    keep("attn.k", k);
    keep("attn.v", v);
    double temperature = 1;
    if (c.layers[l].rope) {
      rotate(q, l, p);
      rotate(k, l, p);
    } else if (c.temperature_tuning) {
      temperature = std::log(std::floor((static_cast<double>(p) + 1) / c.floor_scale) + 1) * c.attn_scale + 1;
      for (double& y : q) y *= temperature;
    }
    keep("attn.temperature", {temperature});
    keep("attn.qUsed", q);
    keep("attn.kUsed", k);
    keys[l].push_back(k);
    vals[l].push_back(v);

    const bool chunked = c.chunk > 0 && c.layers[l].chunked;
    const int64_t first = chunked ? p / c.chunk * c.chunk : 0, seen = p - first + 1;
    const size_t dh = static_cast<size_t>(c.head_dim);
    Vec z(q.size()), pattern, summary;
    for (int h = 0; h < c.heads; ++h) {
      const size_t qo = static_cast<size_t>(h) * dh,
                   ko = static_cast<size_t>(h / (c.heads / c.kv_heads)) * dh;
      Vec score(static_cast<size_t>(seen));
      for (size_t t = 0; t < score.size(); ++t)
        for (size_t i = 0; i < dh; ++i)
          score[t] += q[qo + i] * keys[l][static_cast<size_t>(first) + t][ko + i] /
                      std::sqrt(static_cast<double>(dh));
      Vec cold = score;
      for (double& y : cold) y /= temperature;
      const Vec weight = softmax(score);
      for (size_t t = 0; t < weight.size(); ++t)
        for (size_t i = 0; i < dh; ++i)
          z[qo + i] += weight[t] * vals[l][static_cast<size_t>(first) + t][ko + i];
      pattern.insert(pattern.end(), weight.begin(), weight.end());
      double local = 0, distance = 0;
      const size_t top = static_cast<size_t>(std::max_element(weight.begin(), weight.end()) - weight.begin());
      for (size_t t = 0; t < weight.size(); ++t) {
        const double back = static_cast<double>(weight.size() - 1 - t);
        if (back < 128) local += weight[t];
        distance += back * weight[t];
      }
      for (const double y :
           {entropy(weight), entropy(softmax(cold)), weight[top],
            static_cast<double>(first) + static_cast<double>(top), weight[0], local, distance})
        summary.push_back(y);
    }
    keep("attn.pattern", pattern);
    keep("attn.summary", summary);
    keep("attn.z", z);
    const Vec out = times(at + "attn.o", z);
    keep("attn.out", out);
    return out;
  }

  Vec ffn(size_t l, const Vec& z) {
    if (!c.layers[l].moe) {
      const Vec act = gated(at + "mlp.", z, nullptr, nullptr);
      keep("mlp.act", act);
      const Vec out = times(at + "mlp.down", act);
      keep("mlp.out", out);
      return out;
    }
    keep("router.in", z);
    const Vec logits = times(at + "router", z);
    keep("router.logits", logits);
    std::vector<size_t> order(logits.size());
    for (size_t e = 0; e < order.size(); ++e) order[e] = e;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return logits[a] > logits[b]; });
    Vec score, choice, in, gates, ups, acts, outs, routed(z.size());
    for (int s = 0; s < c.topk; ++s) {
      const size_t e = order[static_cast<size_t>(s)];
      const double factor = 1 / (1 + std::exp(-logits[e]));
      choice.push_back(static_cast<double>(e));
      score.push_back(factor);
      Vec scaled = z;
      for (double& y : scaled) y *= factor;
      in.insert(in.end(), scaled.begin(), scaled.end());
      const std::string expert = at + "expert." + std::to_string(e) + ".";
      const Vec act = gated(expert, scaled, &gates, &ups);
      acts.insert(acts.end(), act.begin(), act.end());
      const Vec out = times(expert + "down", act);
      outs.insert(outs.end(), out.begin(), out.end());
      for (size_t i = 0; i < out.size(); ++i) routed[i] += out[i];
    }
    keep("router.score", score);
    keep("router.choice", choice);
    keep("expert.in", in);
    keep("expert.gate", gates);
    keep("expert.up", ups);
    keep("expert.act", acts);
    keep("expert.out", outs);
    keep("routed.out", routed);
    const Vec act = gated(at + "shared.", z, nullptr, nullptr);
    keep("shared.act", act);
    Vec out = times(at + "shared.down", act);
    keep("shared.out", out);
    for (size_t i = 0; i < out.size(); ++i) out[i] += routed[i];
    return out;
  }

  Vec gated(const std::string& name, const Vec& x, Vec* gates, Vec* ups) const {
    const Vec gate = times(name + "gate", x), up = times(name + "up", x);
    if (gates) gates->insert(gates->end(), gate.begin(), gate.end());
    if (ups) ups->insert(ups->end(), up.begin(), up.end());
    Vec act(gate.size());
    for (size_t i = 0; i < act.size(); ++i) act[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
    return act;
  }

  void rotate(Vec& x, size_t l, int64_t p) const {
    const size_t half = static_cast<size_t>(c.head_dim / 2);
    const bool chunked = c.chunk > 0 && c.layers[l].chunked;
    for (size_t h = 0; h < x.size(); h += 2 * half) {
      double squares = 0;
      for (size_t j = 0; j < half; ++j) {
        const double angle = c.rope == moescope::Rope::hf
                                 ? static_cast<double>(static_cast<float>(p) * c.inv_freq[j])
                                 : static_cast<double>(chunked ? p % c.chunk : p) * c.inv_freq64[j];
        const double a = x[h + 2 * j], b = x[h + 2 * j + 1];
        x[h + 2 * j] = a * std::cos(angle) - b * std::sin(angle);
        x[h + 2 * j + 1] = a * std::sin(angle) + b * std::cos(angle);
        squares += a * a + b * b;
      }
      if (!c.qk_norm) continue;
      for (size_t i = 0; i < 2 * half; ++i)
        x[h + i] /= std::sqrt(squares / static_cast<double>(2 * half) + c.eps);
    }
  }

  Vec norm(const Vec& x, const std::string& name) const {
    const auto& weight = w.at(name);
    double squares = 0;
    for (const double y : x) squares += y * y;
    Vec out(x.size());
    for (size_t i = 0; i < x.size(); ++i)
      out[i] = x[i] / std::sqrt(squares / static_cast<double>(x.size()) + c.eps) * weight[i];
    return out;
  }

  Vec times(const std::string& name, const Vec& x) const {
    const auto& m = w.at(name);
    Vec y(m.size() / x.size());
    for (size_t r = 0; r < y.size(); ++r)
      for (size_t i = 0; i < x.size(); ++i) y[r] += m[r * x.size() + i] * x[i];
    return y;
  }

  static Vec softmax(Vec x) {
    const double top = *std::max_element(x.begin(), x.end());
    double sum = 0;
    for (double& y : x) sum += y = std::exp(y - top);
    for (double& y : x) y /= sum;
    return x;
  }
  static double entropy(const Vec& p) {
    double h = 0;
    for (const double y : p) h -= y > 0 ? y * std::log(y) : 0;
    return h;
  }

  void keep(const std::string& site, const Vec& x) {
    Vec& all = out[at + site];
    all.insert(all.end(), x.begin(), x.end());
  }

  const moescope::Config& c;
  const fixture::Values& w;
  std::string at;
  std::vector<std::vector<Vec>> keys, vals;
  Sites out;
};

}  // namespace

Sites run(const moescope::Config& c, const fixture::Values& w, const std::vector<int32_t>& ids) {
  return Twin(c, w).run(ids);
}

}  // namespace twin
