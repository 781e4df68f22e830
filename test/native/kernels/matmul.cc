// matmul against its slow twin: every tile height, odd n and k, gathers, scatters, scales, SwiGLU, groups,
// cancellation.
#include <atomic>
#include <memory>

#include "check.h"
#include "suites.h"

using namespace moescope::kernels;
using check::Random;
using check::Weights;

namespace {

struct Case {
  int64_t m, n, k;
  Format format;
  bool pair, gathered, scaled, add;
};

void one(const Kernels& kernels, const Case& c, uint64_t seed, int threads) {
  Random random(seed);
  const std::string name = std::string(moescope::kernels::name(kernels.isa)) + " matmul m" +
                           std::to_string(c.m) + " n" + std::to_string(c.n) + " k" + std::to_string(c.k) +
                           " " + check::name(c.format) + (c.pair ? " swiglu" : "") +
                           (c.gathered ? " gathered" : "") + (c.scaled ? " scaled" : "") +
                           (c.add ? " add" : "") + " threads" + std::to_string(threads);
  Weights w(random, c.n, c.k, c.format), up(random, c.n, c.k, c.format);
  const int64_t source_rows = c.m + 3, x_stride = c.k + 5, y_stride = c.n + 7;
  const std::vector<float> x = random.normals(source_rows * x_stride), scale = random.normals(c.m),
                           before = random.normals(source_rows * y_stride);
  std::vector<int32_t> from, to;
  for (int64_t i = 0; i < c.m; ++i)
    from.push_back(int32_t(random.below(source_rows))), to.push_back(int32_t((i * 7 + 1) % source_rows));
  if (source_rows % 7 == 0)
    for (int64_t i = 0; i < c.m; ++i) to[size_t(i)] = int32_t(source_rows - 1 - i);
  std::vector<float> y = before;
  Product p;
  p.w = w.packed;
  if (c.pair) p.up = up.packed;
  p.m = c.m;
  p.x = x.data(), p.x_stride = x_stride;
  p.y = y.data(), p.y_stride = y_stride;
  if (c.gathered) p.x_rows = from.data(), p.y_rows = to.data();
  if (c.scaled) p.x_scale = scale.data();
  p.add = c.add;
  check::that(kernels.matmul({Pool::instance(), threads}, &p, 1), name + " ran");
  std::vector<char> written(y.size(), 0);
  double worst = 0;
  for (int64_t i = 0; i < c.m; ++i) {
    const std::vector<double> want = naive::product(w.plain, c.pair ? &up.plain : nullptr, p, i, before);
    const int64_t row = c.gathered ? to[size_t(i)] : i;
    const double unit = 1 + std::fabs(c.scaled ? scale[size_t(i)] : 1) *
                                (c.pair ? 1 + std::fabs(c.scaled ? scale[size_t(i)] : 1) : 1);
    for (int64_t j = 0; j < c.n; ++j) {
      written[size_t(row * y_stride + j)] = 1;
      worst = std::max(worst, std::fabs(y[size_t(row * y_stride + j)] - want[size_t(j)]) / unit);
    }
  }
  check::that(worst < 3e-6, name + ": worst error " + check::show(worst));
  bool kept = true;
  for (size_t i = 0; i < y.size(); ++i) kept &= written[i] || y[i] == before[i];
  check::that(kept, name + ": wrote outside its rows and columns");
}

/** A row's bits must not depend on the rows beside it, the threads or the products in the call. */
void invariant(const Kernels& kernels, Format format, int64_t n, int64_t k, bool pair) {
  Random random(11);
  Weights w(random, n, k, format), up(random, n, k, format), other(random, 40, k, format);
  const int64_t rows = 61;
  const std::vector<float> x = random.normals(rows * k);
  const auto run = [&](int64_t first, int64_t m, int threads, bool company) {
    std::vector<float> y(size_t(m * n)), z(size_t(m * 40));
    Product p[2];
    p[0].w = other.packed, p[0].m = company ? m : 0, p[0].x = x.data(), p[0].x_stride = k, p[0].y = z.data(),
    p[0].y_stride = 40;
    p[1].w = w.packed, p[1].m = m, p[1].x = x.data() + first * k, p[1].x_stride = k, p[1].y = y.data(),
    p[1].y_stride = n;
    if (pair) p[1].up = up.packed;
    kernels.matmul({Pool::instance(), threads}, p, 2);
    return y;
  };
  const std::vector<float> all = run(0, rows, 2, true);
  bool same = true;
  for (int64_t m : {1, 2, 3, 4, 7, 12, 13, 30})
    for (int threads : {1, 3})
      for (int64_t first : {0L, 17L}) {
        const std::vector<float> some = run(first, m, threads, m % 2 == 0);
        same &= std::equal(some.begin(), some.end(), all.begin() + first * n);
      }
  check::that(same, std::string(name(kernels.isa)) + " matmul: a row's bits depend on its company");
}

/** What is not finite shows in its own row, and in no other. */
void not_finite(const Kernels& kernels, Format format) {
  Random random(12);
  const int64_t n = 40, k = 150, rows = 20;
  Weights w(random, n, k, format);
  std::vector<float> x = random.normals(rows * k), y(size_t(rows * n));
  x[size_t(3 * k + 70)] = INFINITY, x[size_t(4 * k + 149)] = -INFINITY, x[size_t(19 * k)] = NAN;
  for (int64_t m : {int64_t{5}, rows}) {
    Product p;
    p.w = w.packed, p.m = m, p.x = x.data(), p.x_stride = k, p.y = y.data(), p.y_stride = n;
    kernels.matmul({Pool::instance(), 2}, &p, 1);
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        const float got = y[size_t(i * n + j)];
        const bool right = i == 19            ? std::isnan(got)
                           : i == 3 || i == 4 ? !std::isfinite(got)
                                              : std::isfinite(got);
        check::that(right,
                    std::string(name(kernels.isa)) + " matmul: what is not finite, row " + std::to_string(i));
      }
  }
}

}  // namespace

void matmul_suite(const Kernels& kernels) {
  uint64_t seed = 1;
  for (Format format : check::formats) {
    for (int64_t m = 1; m <= 27; ++m)
      one(kernels, {m, 75, 133, format, m % 3 == 0, m % 2 == 0, m % 4 == 1, m % 5 == 0}, ++seed,
          1 + int(m % 3));
    for (int64_t n : {1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 127, 129, 200})
      for (int64_t k : {1, 3, 16, 31, 127, 128, 129, 300})
        one(kernels,
            {1 + (n + k) % 15, n, k, format, (n + k) % 3 == 0, (n + k) % 2 == 0, k % 4 == 3, n % 5 == 1},
            ++seed, 2);
    for (int i = 0; i < 30; ++i) {
      Random random(++seed);
      const auto odd = [&](int64_t top) { return 1 + random.below(top); };
      one(kernels,
          {odd(150), odd(400), odd(600), format, random.below(2) == 0, random.below(2) == 0,
           random.below(2) == 0, random.below(2) == 0},
          ++seed, 1 + int(random.below(4)));
    }
    one(kernels, {1, 4096, 1031, format, false, false, false, false}, ++seed, 4);
    one(kernels, {3, 1000, 2048, format, true, true, true, false}, ++seed, 4);
    one(kernels, {260, 513, 512, format, false, false, false, true}, ++seed, 4);
    for (int64_t m : {1, 2, 5}) one(kernels, {m, 70, 9000, format, false, false, false, false}, ++seed, 1);
    not_finite(kernels, format);
    invariant(kernels, format, 300, 517, false);
    invariant(kernels, format, 96, 256, true);
  }

  // Many experts in one call, some of them empty.
  Random random(5);
  constexpr int experts = 9;
  constexpr int64_t n = 70, k = 96, rows = 200;
  std::vector<std::unique_ptr<Weights>> w;
  std::vector<std::vector<int32_t>> mine(experts);
  for (int e = 0; e < experts; ++e) w.push_back(std::make_unique<Weights>(random, n, k, Format::bf16));
  for (int32_t i = 0; i < rows; ++i) mine[size_t(random.below(experts - 2))].push_back(i);
  const std::vector<float> x = random.normals(rows * k);
  std::vector<float> y(rows * n);
  std::vector<Product> products;
  for (int e = 0; e < experts; ++e) {
    Product p;
    p.w = w[size_t(e)]->packed;
    p.m = int64_t(mine[size_t(e)].size());
    p.x = x.data(), p.x_stride = k, p.x_rows = mine[size_t(e)].data();
    p.y = y.data(), p.y_stride = n, p.y_rows = mine[size_t(e)].data();
    products.push_back(p);
  }
  for (int threads : {1, 3}) {
    std::fill(y.begin(), y.end(), 0.f);
    kernels.matmul({Pool::instance(), threads}, products.data(), experts);
    double worst = 0;
    for (int e = 0; e < experts; ++e)
      for (int64_t i = 0; i < products[size_t(e)].m; ++i)
        for (int64_t j = 0; j < n; ++j) {
          const int64_t row = mine[size_t(e)][size_t(i)];
          worst = std::max(
              worst, std::fabs(y[size_t(row * n + j)] - w[size_t(e)]->plain.dot(j, x.data() + row * k, 1)));
        }
    check::that(worst < 3e-6, std::string(name(kernels.isa)) + " matmul of expert groups: worst error " +
                                  check::show(worst));
  }

  const std::atomic<bool> cancelled{true};
  check::that(!kernels.matmul({Pool::instance(), 2, &cancelled}, products.data(), experts),
              "a cancelled product says so");
}
