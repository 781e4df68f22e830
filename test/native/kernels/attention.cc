// Attention, its statistics and its weights against the slow twin: both paths, any key range, GQA, strides,
// temperatures.
#include "check.h"
#include "suites.h"

using namespace moescope::kernels;
using check::Random;

namespace {

struct Case {
  int64_t rows, past;
  int heads, kv_heads, head_dim;
  int32_t chunk;  // 0: none
  bool temperature, head_major;
  float sharp;
  int threads;
};

void one(const Kernels& kernels, const Case& c, uint64_t seed) {
  Random random(seed);
  const std::string where = std::string(name(kernels.isa)) + " attention rows" + std::to_string(c.rows) +
                            " past" + std::to_string(c.past) + " heads" + std::to_string(c.heads) + "/" +
                            std::to_string(c.kv_heads) + " dim" + std::to_string(c.head_dim) + " chunk" +
                            std::to_string(c.chunk) + (c.temperature ? " temperature" : "") +
                            (c.head_major ? " head-major" : "") + " sharp" + check::show(c.sharp);
  const int64_t keys = c.past + c.rows, width = int64_t{c.heads} * c.head_dim,
                kv_width = int64_t{c.kv_heads} * c.head_dim;
  const std::vector<float> q = random.normals(c.rows * (width + 3), c.sharp),
                           k = random.normals(keys * kv_width), v = random.normals(keys * kv_width);
  std::vector<float> out(size_t(c.rows * (width + 2))), stats(size_t(c.rows * c.heads * stat_count)),
      lse(size_t(c.rows * c.heads)), temperature;
  std::vector<int32_t> lo, hi;
  for (int64_t i = 0; i < c.rows; ++i) {
    const int32_t p = int32_t(c.past + i);
    lo.push_back(c.chunk ? p / c.chunk * c.chunk : 0);
    hi.push_back(p + 1);
    temperature.push_back(c.temperature && i % 3 ? 1 + 0.1f * float(i % 7) : 1.f);
  }
  Attention a;
  a.rows = c.rows, a.heads = c.heads, a.kv_heads = c.kv_heads, a.head_dim = c.head_dim;
  a.scale = 1 / std::sqrt(float(c.head_dim));
  a.q = q.data(), a.q_stride = width + 3;
  a.out = out.data(), a.out_stride = width + 2;
  a.k = k.data(), a.v = v.data();
  a.k_stride = a.v_stride = c.head_major ? c.head_dim : kv_width;
  a.k_head_stride = a.v_head_stride = c.head_major ? keys * c.head_dim : c.head_dim;
  a.lo = lo.data(), a.hi = hi.data();
  if (c.temperature) a.temperature = temperature.data();

  check::that(kernels.attention({Pool::instance(), c.threads}, a), where + " ran");
  const std::vector<float> plain = out;
  a.stats = stats.data(), a.lse = lse.data();
  check::that(kernels.attention({Pool::instance(), c.threads}, a), where + " ran");
  double worst = 0, drift = 0;
  for (int64_t i = 0; i < c.rows; ++i)
    for (int h = 0; h < c.heads; ++h) {
      const naive::Attended want = naive::attend(a, i, h);
      for (int j = 0; j < c.head_dim; ++j) {
        const size_t at = size_t(i * a.out_stride + int64_t{h} * c.head_dim + j);
        worst = std::max(worst, std::fabs(out[at] - want.out[size_t(j)]));
        drift = std::max<double>(drift, std::fabs(out[at] - plain[at]));
      }
      const float* s = &stats[size_t((i * c.heads + h) * stat_count)];
      const std::string at = where + " row " + std::to_string(i) + " head " + std::to_string(h) + " ";
      const double units[] = {1, 1, 1, 1, 1, 1, 1 + want.stats[stat_distance]};
      const char* names[] = {"entropy", "entropy_off", "max", "argmax", "sink", "local", "distance"};
      for (int n = 0; n < stat_count; ++n)
        if (n != stat_argmax) check::near(s[n], want.stats[n], 2e-5, units[n], at + names[n]);
      check::that(want.weights[size_t(s[stat_argmax] - float(a.lo[i]))] > want.stats[stat_max] * (1 - 1e-4),
                  at + "argmax");
      check::near(lse[size_t(i * c.heads + h)], want.lse, 4e-6, 1 + std::fabs(want.lse), at + "lse");
    }
  check::that(worst < 2e-5, where + ": worst error " + check::show(worst));
  check::that(drift < 1e-6, where + ": statistics change the result by " + check::show(drift));
  const int64_t row = c.rows - 1;
  std::vector<float> weights(size_t(hi.back() - lo.back()));
  kernels.attention_weights(a, row, c.heads - 1, weights.data());
  const naive::Attended want = naive::attend(a, row, c.heads - 1);
  for (size_t t = 0; t < weights.size(); ++t)
    check::near(weights[t], want.weights[t], 1e-5, 1, where + " weight of key " + std::to_string(t));
}

}  // namespace

void attention_suite(const Kernels& kernels) {
  const Case cases[] = {
      {1, 0, 2, 1, 32, 0, false, true, 1, 1},    {1, 40, 4, 2, 32, 0, true, true, 1, 2},
      {1, 1500, 4, 2, 64, 0, true, true, 2, 2},  {1, 700, 5, 1, 128, 0, false, false, 1, 3},
      {1, 77, 3, 3, 20, 64, false, true, 1, 1},  {2, 600, 4, 4, 40, 0, true, false, 1, 2},
      {3, 62, 4, 2, 16, 64, false, true, 3, 2},  {5, 11, 4, 2, 32, 0, false, true, 1, 1},
      {8, 0, 2, 2, 64, 0, true, true, 1, 1},     {9, 300, 2, 1, 24, 0, true, false, 1, 2},
      {31, 0, 2, 1, 32, 0, false, true, 1, 2},   {32, 0, 2, 1, 32, 16, false, true, 1, 2},
      {33, 5, 4, 2, 64, 0, true, true, 2, 2},    {100, 30, 2, 1, 36, 64, false, true, 1, 2},
      {130, 0, 3, 1, 128, 0, true, false, 1, 2}, {200, 100, 2, 2, 17, 128, true, true, 6, 3},
      {64, 190, 1, 1, 48, 0, true, true, 30, 2}, {257, 0, 2, 1, 32, 64, false, true, 1, 4},
  };
  uint64_t seed = 100;
  for (const Case& c : cases) one(kernels, c, ++seed);

  // Results do not depend on the thread count; rows without keys give zeros.
  Random random(3);
  const std::vector<float> q = random.normals(64 * 64), k = random.normals(3000 * 32),
                           v = random.normals(3000 * 32);
  for (int64_t rows : {1, 40}) {
    std::vector<int32_t> lo(size_t(rows), 0), hi(size_t(rows), 2900);
    if (rows > 1) hi[3] = 0;
    std::vector<float> one_thread(size_t(rows * 64), 7.f), many = one_thread;
    Attention a;
    a.rows = rows, a.heads = 2, a.kv_heads = 1, a.head_dim = 32, a.scale = .2f;
    a.q = q.data(), a.q_stride = a.out_stride = 64, a.k = k.data(), a.v = v.data(),
    a.k_stride = a.v_stride = 32, a.k_head_stride = a.v_head_stride = 0;
    a.lo = lo.data(), a.hi = hi.data();
    a.out = one_thread.data();
    kernels.attention({Pool::instance(), 1}, a);
    a.out = many.data();
    kernels.attention({Pool::instance(), 4}, a);
    check::that(one_thread == many, "attention depends on the thread count");
    if (rows > 1)
      for (int j = 0; j < 64; ++j) check::near(many[size_t(3 * 64 + j)], 0, 0, 0, "a row without keys");
  }
}
