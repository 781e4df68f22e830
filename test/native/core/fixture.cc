#include "fixture.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/number.h"
#include "base/random.h"

namespace fixture {

int models_of(int n) {
  const char* percent = std::getenv("MOESCOPE_MODELS");
  return percent ? std::max(1, n * std::atoi(percent) / 100) : n;
}

std::string name_of(Format f) {
  return f == Format::f32 ? "f32" : f == Format::bf16 ? "bf16" : "int4_" + std::to_string(group_of(f));
}

void set_frequencies(Config& c, double theta) {
  c.inv_freq.clear();
  c.inv_freq64.clear();
  for (int j = 0; j < c.head_dim / 2; ++j) {
    c.inv_freq64.push_back(std::pow(theta, -2.0 * j / c.head_dim));
    c.inv_freq.push_back(static_cast<float>(c.inv_freq64.back()));
  }
}

double Draw::uniform() { return moescope::uniform(key, count++); }
float Draw::normal(float std) { return std * normal4(key, count++, 7)[0]; }

Config random_config(Draw& draw) {
  Config c;
  c.vocab = 20 + draw.below(60);
  c.d = 9 + draw.below(60);
  c.kv_heads = 1 + draw.below(3);
  c.heads = c.kv_heads * (1 + draw.below(3));
  c.head_dim = 2 * (1 + draw.below(20));
  c.ff = 5 + draw.below(70);
  c.ff_dense = 5 + draw.below(90);
  c.experts = 1 + draw.below(6);
  c.topk = 1 + draw.below(std::min(3, c.experts));
  c.chunk = draw.below(4) == 0 ? 0 : 3 + draw.below(12);
  c.qk_norm = draw.below(2);
  c.temperature_tuning = draw.below(3) > 0;
  c.floor_scale = 2 + draw.below(9);
  c.attn_scale = 0.3;
  c.tied_embeddings = draw.below(3) == 0;
  c.rope = draw.below(2) ? Rope::hf : Rope::accurate;
  set_frequencies(c);
  const int layers = 1 + draw.below(4);
  for (int l = 0; l < layers; ++l) {
    const bool rope = draw.below(3) > 0;
    c.layers.push_back({rope, rope ? draw.below(4) > 0 : false, draw.below(3) > 0});
  }
  return c;
}

Values random_weights(const Config& c, Draw& draw) {
  Weights w;
  Values values;
  for (const Slot& s : slots_of(c, w)) {
    std::vector<float>& v = values[s.name];
    v.resize(static_cast<size_t>(s.matrix->rows * s.matrix->cols));
    const float std =
        s.use == Slot::Use::lookup ? 0.7f : 1.0f / std::sqrt(static_cast<float>(s.matrix->cols));
    for (float& x : v) {
      const float wish = s.use == Slot::Use::vector ? 1 + draw.normal(0.3f) : draw.normal(std);
      x = from_bf16(to_bf16(wish));
    }
  }
  return values;
}

std::shared_ptr<Model> load(const Config& c, const Values& values, bool fast, Format format, int threads,
                            bool mapped) {
  LoadSpec spec;
  if (mapped) spec.map_from = 0;
  spec.config = c;
  spec.format = format;
  spec.cuda = fast && fast_is_cuda;
  spec.fast = fast && (!spec.cuda || cuda_is_fast);
  spec.threads = threads;
  char path[] = "/tmp/moescope-native-tests-XXXXXX";
  const int fd = mkstemp(path);
  std::FILE* file = fdopen(fd, "wb");
  Weights w;
  int64_t at = 0;
  int kind = 0;
  const auto put = [&](const std::vector<float>& v, bool bf16) {
    for (const float x : v) {
      const uint16_t half = to_bf16(x);
      std::fwrite(bf16 ? static_cast<const void*>(&half) : &x, bf16 ? 2 : 4, 1, file);
    }
    at += static_cast<int64_t>(v.size()) * (bf16 ? 2 : 4);
  };
  for (const Slot& s : slots_of(c, w)) {
    const std::vector<float>& v = values.at(s.name);
    const int64_t rows = s.matrix->rows, cols = s.matrix->cols;
    const bool bf16 = kind % 2 == 0;
    WeightSource source{s.name, 0, at, bf16 ? SourceType::bf16 : SourceType::f32, rows, cols, cols, 1};
    std::vector<float> laid = v;
    if (kind % 3 == 1) {  // transposed
      source.row_stride = 1;
      source.col_stride = rows;
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t x = 0; x < cols; ++x)
          laid[static_cast<size_t>(x * rows + r)] = v[static_cast<size_t>(r * cols + x)];
    } else if (kind % 3 == 2) {  // the right part of a wider matrix
      source.row_stride = cols + 3;
      source.offset += 3 * (bf16 ? 2 : 4);
      laid.assign(static_cast<size_t>(rows * (cols + 3)), -7.0f);
      for (int64_t r = 0; r < rows; ++r)
        std::copy_n(&v[static_cast<size_t>(r * cols)], cols, &laid[static_cast<size_t>(r * (cols + 3) + 3)]);
    }
    put(laid, bf16);
    spec.weights.push_back(source);
    ++kind;
    if (kind % 4 == 0) put({0.0f}, true);  // the next one is not aligned to four bytes
  }
  std::fclose(file);
  spec.files = {path};
  Control control;
  try {
    std::shared_ptr<Model> model = load_model(spec, control);
    if (!mapped && truncate(path, 0) != 0) std::abort();
    unlink(path);
    return model;
  } catch (...) {
    unlink(path);
    throw;
  }
}

std::vector<int32_t> random_ids(const Config& c, Draw& draw, int n) {
  std::vector<int32_t> ids(static_cast<size_t>(n));
  for (int32_t& id : ids) id = draw.below(c.vocab);
  return ids;
}

std::vector<CaptureSpec> every_site(const Config& c) {
  std::vector<CaptureSpec> specs;
  for (int s = 0; s < site_count; ++s)
    for (int l = -1; l < c.layer_count(); ++l) {
      const Site site = static_cast<Site>(s);
      if (exists(site, c, l)) specs.push_back({site, l, {}, true, {}, {}});
    }
  return specs;
}

RunSpec spec_of(std::vector<std::vector<int32_t>> sequences, std::vector<CaptureSpec> captures) {
  RunSpec spec;
  for (const auto& ids : sequences) {
    spec.batch.lengths.push_back(static_cast<int32_t>(ids.size()));
    spec.batch.ids.insert(spec.batch.ids.end(), ids.begin(), ids.end());
  }
  spec.captures = std::move(captures);
  return spec;
}

RunResult forward(State& state, const RunSpec& spec) {
  RunWatch watch;
  return run(state, spec, watch);
}

RunResult forward(const std::shared_ptr<Model>& model, const std::vector<int32_t>& ids,
                  std::vector<CaptureSpec> captures, std::vector<Edit> edits, int tile) {
  State state(model, 1, static_cast<int64_t>(ids.size()));
  RunSpec spec = spec_of({ids}, std::move(captures));
  spec.edits = std::move(edits);
  spec.tile = tile;
  return forward(state, spec);
}

Edit replay_of(const RunResult& r, const Config& c, int rows) {
  Edit e;
  e.op = Edit::Op::replay;
  e.layers.assign(c.layers.size(), 1);
  e.recorded = rows;
  for (int row = 0; row < rows; ++row)
    for (int l = 0; l < c.layer_count(); ++l)
      for (int k = 0; k < c.topk; ++k)
        e.choice.push_back(
            c.layers[static_cast<size_t>(l)].moe
                ? static_cast<int32_t>(find(r, Site::router_choice, l).data.as<float>()[row * c.topk + k])
                : -1);
  return e;
}

const Captured& find(const RunResult& r, Site site, int layer) {
  for (const Captured& c : r.captures)
    if (c.site == site && c.layer == layer) return c;
  std::printf("no capture of %s\n", label(site, layer).c_str());
  std::abort();
}

std::string label(Site site, int layer) {
  return (layer < 0 ? std::string() : "layers." + std::to_string(layer) + ".") + name(site);
}

}  // namespace fixture
