// Number formats, the counter generator against its published vector, and sampling.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/budget.h"
#include "base/number.h"
#include "base/random.h"
#include "check.h"
#include "fixture.h"
#include "model/logits.h"
#include "model/positional.h"
#include "suites.h"

namespace {

using namespace fixture;

void formats() {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float x = from_bf16(static_cast<uint16_t>(bits));
    if (!std::isnan(x)) check::that(to_bf16(x) == bits, "bf16 " + std::to_string(bits) + " goes round");
  }
  check::that(to_bf16(1.00390625f) == 0x3f80 && to_bf16(1.01171875f) == 0x3f82, "ties go to even");
  check::that(std::isnan(from_bf16(to_bf16(std::numeric_limits<float>::quiet_NaN()))), "NaN stays NaN");
  check::that(from_f16(0x3c00) == 1 && from_f16(0xc000) == -2 && from_f16(0x0001) == 0x1p-24f &&
                  from_f16(0x7bff) == 65504,
              "f16 values");
  check::that(std::isinf(from_f16(0xfc00)) && std::isnan(from_f16(0x7e00)) && std::signbit(from_f16(0x8000)),
              "f16 specials");
}

void generator() {
  // Known answers of Random123's philox4x32_10.
  check::that(philox(0, 0) == Philox4{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}, "Philox of zeros");
  check::that(philox(~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}) ==
                  Philox4{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
              "Philox of ones");
  const double quantiles[][2] = {
      {0.975, 1.959963985}, {0.5, 0}, {0.3, -0.524400513}, {0.001, -3.090232306}, {0.02425, -1.972961}};
  for (const auto& [p, z] : quantiles)
    check::near(normal_of(static_cast<uint32_t>(p * 0x1p32)), z, 3e-6, "quantile of the normal");
  double sum = 0, squares = 0;
  for (uint64_t i = 0; i < 10000; ++i)
    for (const float x : normal4(3, i, 0)) {
      sum += x;
      squares += static_cast<double>(x) * x;
    }
  check::near(sum / 40000, 0, 0.02, "mean of normals");
  check::near(squares / 40000, 1, 0.03, "variance of normals");
}

void sampling() {
  const std::vector<float> logits = {1, 3, 3, 2, -4};
  const int64_t n = static_cast<int64_t>(logits.size());
  Sampler sampler;
  check::that(sampler.draw(logits.data(), n, {}, 0) == 1, "greedy takes the lowest of equal ones");
  check::that(rank_of(logits.data(), n, 2) == 1 && rank_of(logits.data(), n, 1) == 0 &&
                  rank_of(logits.data(), n, 4) == 4,
              "ranks");

  const auto counts = [&](Sampling s) {
    std::vector<double> count(logits.size());
    for (uint64_t i = 0; i < 20000; ++i)
      count[static_cast<size_t>(sampler.draw(logits.data(), n, s, i))] += 1.0 / 20000;
    return count;
  };
  double sum = 0;
  for (const float x : logits) sum += std::exp(x / 2);
  const auto all = counts({2, 1, 0, 9});
  for (size_t i = 0; i < logits.size(); ++i)
    check::near(all[i], std::exp(logits[i] / 2) / sum, 0.015, "sampled share");
  const auto two = counts({2, 1, 2, 9});
  check::that(two[0] + two[3] + two[4] == 0, "top-k 2 keeps the two largest");
  check::near(two[1], 0.5, 0.015, "top-k share");
  // exp of 3, 3, 2, 1: shares 0.39, 0.39, 0.14, 0.05 of 0.98; 0.8 needs three of them.
  const auto top_p = counts({1, 0.8, 0, 9});
  check::that(top_p[0] == 0 && top_p[4] == 0 && top_p[3] > 0.1, "top-p keeps the smallest sufficient set");
  const auto narrow = counts({1, 0.1, 0, 9});
  check::near(narrow[1], 1, 1e-9, "top-p keeps one at least");
  // Against sorting, on long rows with ties.
  Draw draw{31};
  for (int round = 0; round < 40; ++round) {
    std::vector<float> row(static_cast<size_t>(1 + draw.below(900)));
    for (float& x : row) x = std::round(4 * draw.normal(1.5f)) / 4;
    const Sampling s{0.5 + draw.uniform(), round % 3 ? 0.05 + 0.94 * draw.uniform() : 1,
                     round % 2 ? 1 + draw.below(60) : 0, 77};
    std::vector<int32_t> order(row.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      return row[static_cast<size_t>(a)] > row[static_cast<size_t>(b)];
    });
    if (s.top_k > 0 && static_cast<size_t>(s.top_k) < order.size())
      order.resize(static_cast<size_t>(s.top_k));
    const float top = row[static_cast<size_t>(order[0])];
    const auto mass = [&](int32_t i) {
      return std::exp((row[static_cast<size_t>(i)] - top) / s.temperature);
    };
    double total = 0, reached = 0;
    for (const int32_t i : order) total += mass(i);
    size_t kept = 0;
    while (kept < order.size() && (kept == 0 || reached < s.top_p * total)) reached += mass(order[kept++]);
    order.resize(kept);
    std::sort(order.begin(), order.end());
    for (uint64_t i = 0; i < 50; ++i) {
      double left = uniform(s.seed, i) * reached;
      int32_t want = order.back();
      for (const int32_t id : order)
        if ((left -= mass(id)) < 0) {
          want = id;
          break;
        }
      check::that(sampler.draw(row.data(), static_cast<int64_t>(row.size()), s, i) == want,
                  "the draw is that of a sorted row");
    }
  }
  bool differs = false;
  for (uint64_t i = 0; i < 50; ++i)
    differs |=
        sampler.draw(logits.data(), n, {2, 1, 0, 9}, i) != sampler.draw(logits.data(), n, {2, 1, 0, 10}, i);
  check::that(differs, "another seed draws otherwise");
}

void temperature() {
  // Spec 2.2, golden values.
  const double golden[][2] = {{8190, 1},          {8191, 1.069315},    {16383, 1.109861},
                              {131071, 1.283321}, {1048575, 1.485981}, {10485759, 1.715540}};
  for (const auto& [p, value] : golden)
    check::near(temperature_at(static_cast<int64_t>(p), 8192, 0.1), value, 5e-7, "temperature");
}

void budget() {
  Budget& b = Budget::instance();
  const uint64_t before = b.live();
  {
    Counted x(1 << 20, "test");
    check::that(b.live() == before + (1 << 20), "a block counts");
    x.trim(4096);
    check::that(b.live() == before + 4096, "what is trimmed does not count");
    Counted y = std::move(x);
    check::that(b.live() == before + 4096 && !x && y.used() == 4096, "moving counts once");
  }
  check::that(b.live() == before, "a freed block does not count");
}

}  // namespace

void test_basics() {
  formats();
  generator();
  sampling();
  temperature();
  budget();
}
