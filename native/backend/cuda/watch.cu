// Edits and taps of a site, over the rows of the tile: first what changes them, then what keeps them, as
// `taps/watch.h` does on the CPU. Kept rows go straight into the outbox; a tap moves rows * width * 4 bytes
// over PCIe.
#include <algorithm>

#include "backend/cuda/cuda.cuh"

namespace moescope::cuda {
namespace {

constexpr int threads = 256;

/** Block b changes row row0 + b, at values + b * groups * width. */
__global__ void change(SiteEdit e, const uint16_t* variant, float* values, int row0, int groups, int width) {
  const int r = row0 + static_cast<int>(blockIdx.x), total = groups * width;
  if (!e.active[variant ? variant[r] : 0]) return;
  const float* from = e.values;
  if (e.kind == SiteEdit::Kind::patch) {
    if (e.patch_row[r] < 0) return;
    from += int64_t{e.patch_row[r]} * total;
  }
  float* x = values + int64_t{blockIdx.x} * total;
  for (int i = static_cast<int>(threadIdx.x); i < total; i += threads) {
    if (e.heads && !e.heads[i / width]) continue;
    switch (e.kind) {
      case SiteEdit::Kind::zero:
        x[i] = 0;
        break;
      case SiteEdit::Kind::patch:
        x[i] = from[i];
        break;
      case SiteEdit::Kind::scale:
        x[i] *= e.amount;
        break;
      case SiteEdit::Kind::add:
        x[i] += e.amount * from[i];
        break;
    }
  }
}

/** Block b copies the wanted groups of row rows[b] of the tile to row b of `out`. */
__global__ void gather(float* out, const float* values, const int32_t* rows, int row0, const int32_t* groups,
                       int count, int width, int total) {
  const float* x = values + int64_t{rows[blockIdx.x] - row0} * total;
  out += int64_t{blockIdx.x} * count * width;
  for (int i = static_cast<int>(threadIdx.x); i < count * width; i += threads)
    out[i] = x[groups[i / width] * width + i % width];
}

__global__ void gather_choices(int32_t* out, const int32_t* choice, const int32_t* rows, int topk) {
  for (int i = static_cast<int>(threadIdx.x); i < topk; i += 32)
    out[int64_t{blockIdx.x} * topk + i] = choice[int64_t{rows[blockIdx.x]} * topk + i];
}

}  // namespace

void Cuda::watch(const Step& s, Site site, int l, float* values, int row0, int rows) {
  const Point& point = s.at(site, l);
  if (!point || rows == 0) return;
  const SiteShape shape = shape_of(site, c, l);
  for (const SiteEdit* e = point.edits; e; e = e->next) {
    change<<<static_cast<unsigned>(rows), threads, 0, stream_>>>(step_.edit(e), step_.edits.variant, values,
                                                                 row0, shape.groups, shape.width);
    launched("edit");
  }
  for (const Tap* t = point.taps; t; t = t->next) {
    if (ahead_active_) keep_in_slot(*t, shape, values);
    else keep(s, *t, shape, values, row0, rows);
  }
}

void Cuda::keep(const Step&, const Tap& tap, const SiteShape& shape, const float* values, int row0,
                int rows) {
  const DeviceTap& where = step_.tap(&tap);
  const std::vector<int32_t>& kept = where.kept->rows;
  const auto index = [&](int row) { return std::lower_bound(kept.begin(), kept.end(), row) - kept.begin(); };
  const size_t end = static_cast<size_t>(index(row0 + rows)), width = static_cast<size_t>(tap.width);
  const size_t most = std::max<size_t>(1, outbox_.capacity() / 2 / (width * sizeof(float)));
  for (size_t at = static_cast<size_t>(index(row0)); at < end && width > 0;) {
    const size_t n = std::min(most, end - at), topk = tap.experts ? static_cast<size_t>(c.topk) : 0;
    const unsigned blocks = static_cast<unsigned>(n);
    // One room for both: a second one might empty the box before the first is filled.
    float* out = outbox_.room<float>(n * (width + topk), stream_);
    const int32_t* choices = reinterpret_cast<const int32_t*>(out + n * width);
    gather<<<blocks, threads, 0, stream_>>>(out, values, where.kept->on_device + at, row0, where.on_device,
                                            static_cast<int>(where.groups.size()), shape.width,
                                            shape.total());
    launched("tap");
    if (tap.experts) {
      gather_choices<<<blocks, 32, 0, stream_>>>(reinterpret_cast<int32_t*>(out + n * width), a.choice,
                                                 where.kept->on_device + at, c.topk);
      launched("tap");
    }
    outbox_.then([tap, rows = &kept, at, n, out, choices, width, topk] {
      for (size_t i = 0; i < n; ++i)
        deliver_row(tap, tap.to[(*rows)[at + i]], out + i * width, choices + i * topk,
                    static_cast<int>(topk));
    });
    at += n;
  }
}

}  // namespace moescope::cuda
