// The elementwise kernels and the logit statistics against their slow twins.
#include <cstring>
#include <limits>

#include "check.h"
#include "suites.h"

using namespace moescope::kernels;
using check::Random;

namespace {

/** Distance in units in the last place of `want`. */
double ulps(float got, double want) {
  const float f = float(want);
  const double unit = std::max(double(std::nextafter(std::fabs(f), INFINITY)) - std::fabs(f), 0x1p-149);
  return std::fabs(got - want) / unit;
}

void functions(const Kernels& kernels, const std::string& isa) {
  std::vector<float> x, y;
  for (double v = -103; v < 88.7; v += 0.00131) x.push_back(float(v));
  y.resize(x.size());
  kernels.exp(y.data(), x.data(), int64_t(x.size()));
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i)
    if (x[i] > -87) worst = std::max(worst, ulps(y[i], std::exp(double{x[i]})));
    else check::near(y[i], std::exp(double{x[i]}), 1, 3e-45, isa + " subnormal exp");
  check::that(worst <= 2, isa + " exp: " + check::show(worst) + " ulp");
  kernels.sigmoid(y.data(), x.data(), int64_t(x.size()));
  worst = 0;
  for (size_t i = 0; i < x.size(); ++i)
    if (x[i] > -87) worst = std::max(worst, ulps(y[i], 1 / (1 + std::exp(-double{x[i]}))));
  check::that(worst <= 3, isa + " sigmoid: " + check::show(worst) + " ulp");
  const float inf = INFINITY, nan = NAN;
  const float odd[] = {0.f, -0.f, inf, -inf, nan, 100, -200}, exps[] = {1, 1, inf, 0, nan, inf, 0},
              sigmoids[] = {.5f, .5f, 1, 0, nan, 1, 0};
  float out[7];
  kernels.exp(out, odd, 7);
  for (int i = 0; i < 7; ++i) check::near(out[i], exps[i], 0, 0, isa + " exp(" + check::show(odd[i]) + ")");
  kernels.sigmoid(out, odd, 7);
  for (int i = 0; i < 7; ++i)
    check::near(out[i], sigmoids[i], 0, 0, isa + " sigmoid(" + check::show(odd[i]) + ")");
}

void row_kernels(const Kernels& kernels, const std::string& isa) {
  Random random(9);
  for (int64_t d : {1, 7, 16, 33, 64, 160, 257, 2048})
    for (int64_t rows : {1, 5, 70}) {
      const std::vector<float> x = random.normals(rows * (d + 1), 3), weight = random.normals(d),
                               more = random.normals(rows * d);
      std::vector<float> y(size_t(rows * d)), bare = y;
      const Run run{Pool::instance(), 2};
      kernels.rmsnorm(run, y.data(), d, x.data(), d + 1, weight.data(), 1e-5f, rows, d);
      kernels.rmsnorm(run, bare.data(), d, x.data(), d + 1, nullptr, 1e-5f, rows, d);
      for (int64_t r = 0; r < rows; ++r) {
        double square = 0;
        for (int64_t i = 0; i < d; ++i)
          square += double{x[size_t(r * (d + 1) + i)]} * x[size_t(r * (d + 1) + i)];
        const double inverse = 1 / std::sqrt(square / double(d) + 1e-5);
        for (int64_t i = 0; i < d; ++i) {
          const double want = x[size_t(r * (d + 1) + i)] * inverse;
          check::near(bare[size_t(r * d + i)], want, 1e-6, 1 + std::fabs(want), isa + " rmsnorm");
          check::near(y[size_t(r * d + i)], want * weight[size_t(i)], 1e-6,
                      1 + std::fabs(want * weight[size_t(i)]), isa + " rmsnorm, weighted");
        }
      }
      std::vector<float> z(y.size()), total = more;
      kernels.swiglu(run, z.data(), y.data(), more.data(), rows * d);
      kernels.add(run, total.data(), y.data(), rows * d);
      for (size_t i = 0; i < z.size(); ++i) {
        const double want = naive::silu(y[i]) * more[i];
        check::near(z[i], want, 1e-6, 1 + std::fabs(want), isa + " swiglu");
        check::that(total[i] == more[i] + y[i], isa + " add");
      }
    }
  for (int head_dim : {2, 16, 20, 32, 64, 72, 128}) {
    const int heads = 3;
    const int64_t rows = 40, stride = heads * head_dim + 4;
    const std::vector<float> before = random.normals(rows * stride);
    std::vector<float> cos, sin, factor;
    for (int64_t i = 0; i < rows * head_dim / 2; ++i) {
      const double angle = random.uniform() * 7;
      cos.push_back(float(std::cos(angle))), sin.push_back(float(std::sin(angle)));
    }
    for (int64_t i = 0; i < rows; ++i) factor.push_back(float(1 + random.uniform()));
    for (int what = 0; what < 8; ++what) {
      const bool rope = what & 1, norm = what & 2, tempered = what & 4;
      std::vector<float> x = before;
      kernels.heads({Pool::instance(), 2}, x.data(), stride, rows, heads, head_dim,
                    rope ? cos.data() : nullptr, rope ? sin.data() : nullptr, norm ? 1e-5f : -1.f,
                    tempered ? factor.data() : nullptr);
      for (int64_t r = 0; r < rows; ++r) {
        for (int h = 0; h < heads; ++h) {
          const float* in = &before[size_t(r * stride + h * head_dim)];
          std::vector<double> want(in, in + head_dim);
          if (rope)
            for (int j = 0; j < head_dim / 2; ++j) {
              const double c = cos[size_t(r * (head_dim / 2) + j)], s = sin[size_t(r * (head_dim / 2) + j)];
              want[size_t(2 * j)] = in[2 * j] * c - in[2 * j + 1] * s;
              want[size_t(2 * j + 1)] = in[2 * j] * s + in[2 * j + 1] * c;
            }
          double square = 0;
          for (double v : want) square += v * v;
          for (double& v : want)
            v *= (norm ? 1 / std::sqrt(square / head_dim + 1e-5) : 1) * (tempered ? factor[size_t(r)] : 1);
          for (int i = 0; i < head_dim; ++i)
            check::near(x[size_t(r * stride + h * head_dim + i)], want[size_t(i)], 1e-6,
                        1 + std::fabs(want[size_t(i)]), isa + " heads " + std::to_string(what));
        }
        for (int64_t i = heads * head_dim; i < stride; ++i)
          check::that(x[size_t(r * stride + i)] == before[size_t(r * stride + i)],
                      isa + " heads wrote beside its heads");
      }
    }
  }
}

void logit_rows(const Kernels& kernels, const std::string& isa) {
  Random random(21);
  for (int64_t vocab : {1, 5, 16, 33, 320, 5000, 70001}) {
    const int64_t rows = 6, stride = vocab + 3;
    std::vector<float> z = random.normals(rows * stride, 4);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < vocab; ++i) {
        float& v = z[size_t(r * stride + i)];
        if (r == 1) v = std::round(v);            // many ties
        if (r == 2 && i % 3 == 1) v = -INFINITY;  // banned ids
        if (r == 3) v = v * 30 + 1000;            // sharp
        if (r == 4) v = 2;                        // all equal
      }
    std::vector<int32_t> target = {int32_t(vocab - 1), int32_t(vocab / 2), 0,
                                   int32_t(vocab / 3), int32_t(vocab / 2), -1},
                         rank(rows), argmax(rows);
    std::vector<float> logprob(rows), lse(rows), entropy(rows);
    kernels.logit_stats(
        {Pool::instance(), 2}, z.data(), stride, rows, vocab,
        {target.data(), logprob.data(), rank.data(), lse.data(), entropy.data(), argmax.data()});
    for (size_t r = 0; r < size_t(rows); ++r) {
      const naive::Logits want = naive::logits(&z[r * size_t(stride)], vocab, target[r]);
      const std::string where =
          isa + " logits, vocab " + std::to_string(vocab) + " row " + std::to_string(r) + " ";
      check::near(logprob[r], want.logprob, 1e-6, 1 + std::fabs(want.logprob), where + "logprob");
      check::near(lse[r], want.lse, 1e-6, 1 + std::fabs(want.lse), where + "lse");
      check::near(entropy[r], want.entropy, 2e-6, 1 + want.entropy, where + "entropy");
      check::near(rank[r], want.rank, 0, 0, where + "rank");
      check::near(argmax[r], want.argmax, 0, 0, where + "argmax");
    }
  }
}

void weights(uint64_t seed) {
  Random random(seed);
  const int64_t n = 70, k = 45;
  const std::vector<float> out_major = random.normals(n * k);
  std::vector<float> in_major(out_major.size()), back(out_major.size());
  std::vector<uint16_t> half(out_major.size());
  for (int64_t r = 0; r < n; ++r)
    for (int64_t c = 0; c < k; ++c) in_major[size_t(c * n + r)] = out_major[size_t(r * k + c)];
  std::vector<char> memory(packed_bytes(Format::f32, n, k) + 64), again = memory;
  pack(memory.data(), Format::f32, n, k, {out_major.data(), SourceType::f32, k, 1}, 0, panels(n));
  pack(again.data(), Format::f32, n, k, {in_major.data(), SourceType::f32, 1, n}, 1,
       panels(n));  // in two parts
  pack(again.data(), Format::f32, n, k, {in_major.data(), SourceType::f32, 1, n}, 0, 1);
  check::that(memory == again, "out-major and in-major sources pack alike");
  unpack(back.data(), k, {memory.data(), Format::f32, n, k}, 0, n);
  check::that(back == out_major, "f32 comes back as it was");
  pack(memory.data(), Format::bf16, n, k, {out_major.data(), SourceType::f32, k, 1}, 0, panels(n));
  unpack(back.data(), k, {memory.data(), Format::bf16, n, k}, 0, n);
  for (size_t i = 0; i < back.size(); ++i)
    check::near(back[i], out_major[i], 0x1p-8, std::fabs(out_major[i]), "bf16 rounds to nearest");
  for (size_t i = 0; i < half.size(); ++i) half[i] = uint16_t(random.next());
  const int64_t bad =
      pack(memory.data(), Format::bf16, n, k, {half.data(), SourceType::bf16, k, 1}, 0, panels(n));
  unpack(back.data(), k, {memory.data(), Format::bf16, n, k}, 0, n);
  int64_t wild = 0;
  for (size_t i = 0; i < half.size(); ++i) {
    const float want = std::bit_cast<float>(uint32_t{half[i]} << 16);
    wild += !std::isfinite(want);
    check::that(std::isnan(want) ? std::isnan(back[i]) : back[i] == want, "bf16 passes unchanged");
  }
  check::that(bad == wild, "non-finite weights are counted");
  const uint16_t f16[] = {0x3c00, 0xc000, 0x7bff, 0x0001, 0x03ff, 0x7c00, 0x8000, 0x3555};
  const float f32[] = {1, -2, 65504, 0x1p-24f, 1023 * 0x1p-24f, INFINITY, -0.f, 0.333251953125f};
  pack(memory.data(), Format::f32, 1, 8, {f16, SourceType::f16, 8, 1}, 0, 1);
  unpack(back.data(), 8, {memory.data(), Format::f32, 1, 8}, 0, 1);
  for (int i = 0; i < 8; ++i) check::that(back[size_t(i)] == f32[i], "f16 widens exactly");
}

}  // namespace

void rows_suite(const Kernels& kernels) {
  const std::string isa = name(kernels.isa);
  functions(kernels, isa);
  row_kernels(kernels, isa);
  logit_rows(kernels, isa);
  weights(kernels.isa == Isa::generic ? 1 : 2);
}
