// kernels-bench: what the CPU kernels reach of what this machine can do.
//   kernels-bench            everything, as a table
//   kernels-bench machine    the two limits alone, as JSON
//   kernels-bench matmul | attention | rows
//   kernels-bench product <m> <n> <k> <f32|bf16|int4_32|int4_64|int4_128> <threads>
//   kernels-bench attend <rows> <past> <heads> <kv heads> <head dim> <threads>
#include <cstdio>

#include "machine.h"

namespace {

using namespace bench;

constexpr const char* format_names[] = {"f32", "bf16", "int4_32", "int4_64", "int4_128"};

/** Times y = W x with weights that are read from memory, not from the caches: as many copies as fill the
 * buffer take turns. */
double product_seconds(const Kernels& kernels, const Memory& memory, Format format, int64_t m, int64_t n,
                       int64_t k, int threads, bool pair) {
  const size_t bytes = packed_bytes(format, n, k);
  const int64_t copies = int64_t(memory.size / bytes) - 1;
  static std::vector<float> x, y;
  x.assign(size_t(m * k), 0.5f);
  y.assign(size_t(m * n), 0.f);
  int64_t turn = 0;
  const double once = best(
      [&] {
        Product p;
        p.w = {memory.data + size_t(turn++ % copies) * bytes, format, n, k};
        if (pair) p.up = {memory.data + size_t(turn++ % copies) * bytes, format, n, k};
        p.m = m, p.x = x.data(), p.x_stride = k, p.y = y.data(), p.y_stride = n;
        kernels.matmul({Pool::instance(), threads}, &p, 1);
      },
      0.15, threads);
  return once;
}

void products(const Kernels& kernels, const Memory& memory, double flops, double bandwidth, int threads) {
  std::printf("\nmatmul, %s, %d thread%s: ms | GFLOP/s, %% of peak | GB/s of weights, %% of read bandwidth\n",
              name(kernels.isa), threads, threads > 1 ? "s" : "");
  for (Format format : {Format::f32, Format::bf16, Format::int4_32, Format::int4_128})
    for (int64_t d : {160, 256, 512, 1024, 2048})
      for (int64_t m : {1, 4, 16, 64, 256, 1024}) {
        const double s = product_seconds(kernels, memory, format, m, d, d, threads, false);
        const double g = 2. * double(m) * double(d) * double(d) / s / 1e9,
                     b = double(packed_bytes(format, d, d)) / s / 1e9;
        std::printf("  %-8s d %5d m %5d  %9.4f ms  %7.1f GFLOP/s %5.1f %%  %6.1f GB/s %5.1f %%\n",
                    format_names[int(format)], int(d), int(m), s * 1e3, g, 100 * g / flops, b,
                    100 * b / bandwidth);
      }
  for (int64_t m : {1, 64, 1024}) {
    const double s = product_seconds(kernels, memory, Format::bf16, m, 4096, 2048, threads, true);
    const double g = 4. * double(m) * 4096 * 2048 / s / 1e9,
                 b = 2 * double(packed_bytes(Format::bf16, 4096, 2048)) / s / 1e9;
    std::printf("  swiglu bf16 2048 -> 4096 m %5d  %9.4f ms  %7.1f GFLOP/s %5.1f %%  %6.1f GB/s %5.1f %%\n",
                int(m), s * 1e3, g, 100 * g / flops, b, 100 * b / bandwidth);
  }
}

struct Attend {
  int64_t rows, past;
  int heads, kv, dim;
};

const std::vector<Attend> attentions = {
    {1024, 0, 8, 4, 32},    {1024, 0, 8, 2, 64},    {2048, 0, 16, 4, 128},
    {64, 8192, 16, 4, 128}, {8, 1024, 8, 2, 64},    {1, 128, 8, 4, 32},
    {1, 1024, 8, 4, 32},    {1, 32768, 16, 4, 128}, {1, 131072, 8, 8, 128}};

void attention(const Kernels& kernels, double flops, double bandwidth, int threads,
               const std::vector<Attend>& cases) {
  std::printf("\nattention, %s, %d thread%s, f32 keys and values\n", name(kernels.isa), threads,
              threads > 1 ? "s" : "");
  for (const Attend& c : cases) {
    const int64_t keys = c.rows + c.past, width = int64_t(c.heads) * c.dim;
    std::vector<float> q(size_t(c.rows * width), .1f), out(q.size()), k(size_t(keys * c.kv * c.dim), .2f),
        v(k.size(), .3f), stats(size_t(c.rows * c.heads * stat_count));
    std::vector<int32_t> lo(size_t(c.rows), 0), hi;
    for (int64_t i = 0; i < c.rows; ++i) hi.push_back(int32_t(c.past + i + 1));
    Attention a;
    a.rows = c.rows, a.heads = c.heads, a.kv_heads = c.kv, a.head_dim = c.dim, a.scale = .1f;
    a.q = q.data(), a.q_stride = a.out_stride = width, a.out = out.data(), a.k = k.data(), a.v = v.data();
    a.k_stride = a.v_stride = c.dim, a.k_head_stride = a.v_head_stride = keys * c.dim, a.lo = lo.data(),
    a.hi = hi.data();
    const double bare = best([&] { kernels.attention({Pool::instance(), threads}, a); }, 0.15, threads);
    a.stats = stats.data();
    const double watched = best([&] { kernels.attention({Pool::instance(), threads}, a); }, 0.15, threads);
    double pairs = 0;
    for (int64_t i = 0; i < c.rows; ++i) pairs += double(hi[size_t(i)]) * c.heads;
    const double g = 4 * pairs * c.dim / bare / 1e9, b = 8. * double(keys) * c.kv * c.dim / bare / 1e9;
    std::printf(
        "  rows %5d keys %6d heads %2d/%d dim %3d  %9.3f ms  %7.1f GFLOP/s %5.1f %%  %6.1f GB/s %5.1f %%  "
        "with statistics +%.1f %%\n",
        int(c.rows), int(keys), c.heads, c.kv, c.dim, bare * 1e3, g, 100 * g / flops, b, 100 * b / bandwidth,
        100 * (watched / bare - 1));
  }
}

void rest(const Kernels& kernels, int threads) {
  std::printf("\nbetween the products, %d thread%s\n", threads, threads > 1 ? "s" : "");
  const Run run{Pool::instance(), threads};
  for (int64_t rows : {1, 1024})
    for (int64_t d : {256, 2048}) {
      std::vector<float> x(size_t(rows * d), .5f), y(x.size()), w(size_t(d), 1.f), c(x.size(), .5f);
      const double norm = best(
          [&] { kernels.rmsnorm(run, y.data(), d, x.data(), d, w.data(), 1e-5f, rows, d); }, .05, threads);
      const double head = best(
          [&] { kernels.heads(run, x.data(), d, rows, int(d / 64), 64, c.data(), c.data(), 1e-5f, nullptr); },
          .05, threads);
      const double glu =
          best([&] { kernels.swiglu(run, y.data(), x.data(), c.data(), rows * d); }, .05, threads);
      std::printf("  rows %5d d %5d  rmsnorm %8.4f ms  heads (rope, norm) %8.4f ms  swiglu %8.4f ms\n",
                  int(rows), int(d), norm * 1e3, head * 1e3, glu * 1e3);
    }
  for (int64_t vocab : {320, 202048}) {
    const int64_t rows = 64;
    std::vector<float> z(size_t(rows * vocab)), lse(rows), entropy(rows);
    std::vector<int32_t> target(rows, 7), rank(rows);
    for (size_t i = 0; i < z.size(); ++i) z[i] = float(i % 97) * .1f;
    LogitStats s;
    s.target = target.data(), s.rank = rank.data(), s.lse = lse.data(), s.entropy = entropy.data();
    const double t = best([&] { kernels.logit_stats(run, z.data(), vocab, rows, vocab, s); }, .1, threads);
    std::printf("  logit statistics, %d rows of %d: %.4f ms, %.1f GB/s\n", int(rows), int(vocab), t * 1e3,
                double(z.size()) * 4 / t / 1e9);
  }
  if (threads == 1) return;
  const double region = best(
      [&] {
        Pool::instance().parallel_for(threads, threads, 1, nullptr, [](int64_t, int64_t, int) {
          for (const double end = now() + 20e-6; now() < end;) {
          }
        });
      },
      .1);
  std::printf("  a parallel region costs %.2f us beyond its work\n", region * 1e6 - 20);
}

}  // namespace

int main(int argc, char** argv) {
  const Isa isa = detect();
  const int cores = Pool::cores();
  const Memory memory(size_t{768} << 20);
  if (argc == 7 && !std::strcmp(argv[1], "product")) {
    const int64_t m = std::atoll(argv[2]), n = std::atoll(argv[3]), d = std::atoll(argv[4]);
    int named = 0;
    while (named < 4 && std::strcmp(argv[5], format_names[named])) ++named;
    const Format format = Format(named);
    const double s = product_seconds(kernels(isa), memory, format, m, n, d, std::atoi(argv[6]), false);
    std::printf("%.4f ms  %.1f GFLOP/s  %.1f GB/s\n", s * 1e3, 2. * double(m * n * d) / s / 1e9,
                double(packed_bytes(format, n, d)) / s / 1e9);
    return 0;
  }
  if (argc == 8 && !std::strcmp(argv[1], "attend")) {
    const Attend c{std::atoll(argv[2]), std::atoll(argv[3]), std::atoi(argv[4]), std::atoi(argv[5]),
                   std::atoi(argv[6])};
    const int threads = std::atoi(argv[7]);
    attention(kernels(isa), peak(isa, threads), read_bandwidth(memory, threads), threads, {c});
    return 0;
  }
  const double flops1 = peak(isa, 1), flops = peak(isa, cores), read1 = read_bandwidth(memory, 1),
               read = read_bandwidth(memory, cores);
  if (argc > 1 && !std::strcmp(argv[1], "machine")) {
    std::printf(
        "{\"isa\":\"%s\",\"cores\":%d,\"gflops1\":%.1f,\"gflops\":%.1f,\"read1\":%.2f,\"read\":%.2f}\n",
        name(isa), cores, flops1, flops, read1, read);
    return 0;
  }
  std::printf(
      "%s, %d cores: f32 FMA peak %.1f GFLOP/s on one, %.1f on all; reads %.1f GB/s on one, %.1f on all\n",
      name(isa), cores, flops1, flops, read1, read);
  const Kernels& k = kernels(isa);
  const auto wanted = [&](const char* part) { return argc < 2 || !std::strcmp(argv[1], part); };
  if (wanted("matmul")) products(k, memory, flops1, read1, 1);
  if (wanted("matmul") && cores > 1) products(k, memory, flops, read, cores);
  if (wanted("attention")) attention(k, flops1, read1, 1, attentions);
  if (wanted("attention") && cores > 1) attention(k, flops, read, cores, attentions);
  if (wanted("rows")) rest(k, 1);
  if (wanted("rows") && cores > 1) rest(k, cores);
  return 0;
}
