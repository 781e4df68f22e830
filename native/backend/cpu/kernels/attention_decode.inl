// Attention of few query rows: a task is one row, one kv head with its group of query heads, and a stretch of keys.
//
// Serves decode (one row) and tiles of a few rows. K and V of a stretch are read once for all heads of the group, 8 *
// head_dim bytes a key: bound by memory beyond the caches. Stretches have a fixed length whatever the thread count, and are
// joined in order, so that results do not depend on it. FIGURES

constexpr int32_t stretch = 512;
constexpr int32_t decode_block = 64;  // keys whose K and V stay in the L1 cache over the heads of a group

/** s[j] = scale * q . k_j for `count` keys; s has room for whole vectors. */
static void dots(const float* q, const float* k, int64_t k_stride, int d, int32_t count, float scale, float* s) {
  const int whole = d / lanes * lanes;
  for (int32_t j = 0; j < count; j += lanes) {
    Vec part[lanes];
    for (int i = 0; i < lanes; ++i) {
      const float* key = k + (j + i < count ? j + i : count - 1) * k_stride;
      Vec sum = {};
      for (int c = 0; c < whole; c += lanes) sum += load(q + c) * load(key + c);
      if (whole < d) sum += load_part(q + whole, d - whole) * load_part(key + whole, d - whole);
      part[i] = sum;
    }
    store(s + j, sums(part) * splat(scale));
  }
}

/** out = keep * out + sum over keys of p[j] * v_j. */
static void blend(const float* p, const float* v, int64_t v_stride, int d, int32_t count, float keep, float* out) {
  int c = 0;
  const auto columns = [&](auto width) {
    constexpr int n = sizeof(width) / sizeof(Vec);
    for (; c + n * lanes <= d; c += n * lanes) {
      Vec sum[n];
      for (int u = 0; u < n; ++u) sum[u] = load(out + c + u * lanes) * splat(keep);
      const float* at = v + c;
      for (int32_t j = 0; j < count; ++j, at += v_stride)
        for (int u = 0; u < n; ++u) sum[u] += load(at + u * lanes) * splat(p[j]);
      for (int u = 0; u < n; ++u) store(out + c + u * lanes, sum[u]);
    }
  };
  struct Four { Vec v[4]; };
  struct One { Vec v[1]; };
  columns(Four{});
  columns(One{});
  for (; c < d; ++c) {
    float sum = out[c] * keep;
    for (int32_t j = 0; j < count; ++j) sum += p[j] * v[j * v_stride + c];
    out[c] = sum;
  }
}

/** Scores of keys [from, from + count) at s become weights; returns the factor of the past. */
static float soften_keys(const Attention& a, int64_t row, Soft& soft, float* s, int32_t from, int32_t count) {
  const int32_t lo = a.lo[row], hi = a.hi[row];
  const float temperature = a.temperature ? a.temperature[row] : 1.f;
  for (int32_t j = count; j % lanes; ++j) s[j] = -__builtin_inff();
  int64_t at;
  const float top = row_max(s, count, &at);
  const float old = soft.m;
  if (top > old) {
    soft.m = top;
    soft.argmax = from + static_cast<int32_t>(at);
  }
  const Vec m = splat(soft.m);
  const float gap = old - soft.m, factor = __builtin_expf(gap);
  Vec l = {}, spread = {}, l_off = {}, spread_off = {}, distance = {}, local = {}, sink = {};
  for (int32_t j = 0; j < count; j += lanes) {
    const Vec v = load(s + j), x = v - m, p = vexp_negative(x);
    store(s + j, p);
    l += p;
    if (!a.stats) continue;
    const IVec key = iota() + (from + j);
    const Vec y = select(key < from + count, x, Vec{});
    spread += p * y;
    distance += p * __builtin_convertvector(hi - 1 - key, Vec);
    local += select(key >= hi - local_window, p, Vec{});
    sink += select(key == lo, p, Vec{});
    if (temperature != 1.f) {
      const Vec cooled = y / splat(temperature), e = select(key < from + count, vexp_negative(cooled), Vec{});
      l_off += e;
      spread_off += e * cooled;
    }
  }
  soft.spread = factor * (soft.spread + soft.l * gap) + sum(spread);
  soft.l = factor * soft.l + sum(l);
  if (a.stats) {
    soft.distance = factor * soft.distance + sum(distance);
    soft.local = factor * soft.local + sum(local);
    soft.sink = factor * soft.sink + sum(sink);
    if (temperature != 1.f) {
      const float cooled = gap / temperature, factor_off = __builtin_expf(cooled);
      soft.spread_off = factor_off * (soft.spread_off + soft.l_off * cooled) + sum(spread_off);
      soft.l_off = factor_off * soft.l_off + sum(l_off);
    }
  }
  return factor;
}

static bool attend_few(const Run& run, const Attention& a) {
  const int d = a.head_dim, group = a.heads / a.kv_heads;
  int32_t longest = 1;
  double keys = 0;
  for (int64_t r = 0; r < a.rows; ++r) {
    const int32_t n = a.hi[r] - a.lo[r];
    longest = n > longest ? n : longest;
    keys += n;
  }
  const int64_t stretches = divide_up(longest, stretch);
  const int64_t pitch = (d + 15) / 16 * 16;
  // [row, head, stretch]: the sums of v, then the softmax states.
  const int64_t parts = a.rows * a.heads * stretches;
  float* sums_of = static_cast<float*>(Pool::caller_scratch(static_cast<size_t>(parts) * (pitch * sizeof(float) + sizeof(Soft))));
  Soft* softs = reinterpret_cast<Soft*>(sums_of + parts * pitch);

  const double nanoseconds = keys * a.heads * (2. * d / lanes + 10) / 8;
  const int threads = nanoseconds < 8000 ? 1 : run.threads;
  const bool done = run.pool.parallel_for(threads, a.rows * a.kv_heads * stretches, 1, run.cancel, [&](int64_t task, int64_t, int) {
    const int64_t row = task / (a.kv_heads * stretches), kv = task / stretches % a.kv_heads, part = task % stretches;
    const int32_t begin = a.lo[row] + static_cast<int32_t>(part) * stretch, end = static_cast<int32_t>(least(a.hi[row], begin + stretch));
    const int64_t at = (row * a.heads + kv * group) * stretches + part;
    for (int g = 0; g < group; ++g) {
      softs[at + g * stretches] = Soft{};
      std::memset(sums_of + (at + g * stretches) * pitch, 0, static_cast<size_t>(pitch) * 4);
    }
    alignas(64) float s[decode_block + lanes];
    for (int32_t from = begin; from < end; from += decode_block) {
      const int32_t count = static_cast<int32_t>(least(decode_block, end - from));
      for (int g = 0; g < group; ++g) {
        dots(a.q + row * a.q_stride + (kv * group + g) * d, a.k + kv * a.k_head_stride + from * a.k_stride, a.k_stride, d, count, a.scale, s);
        const float keep = soften_keys(a, row, softs[at + g * stretches], s, from, count);
        blend(s, a.v + kv * a.v_head_stride + from * a.v_stride, a.v_stride, d, count, keep, sums_of + (at + g * stretches) * pitch);
      }
    }
  });
  if (!done) return false;

  for (int64_t row = 0; row < a.rows; ++row)
    for (int h = 0; h < a.heads; ++h) {
      const int64_t at = (row * a.heads + h) * stretches;
      float* total = sums_of + at * pitch;
      Soft soft = softs[at];
      for (int64_t part = 1; part < stretches && softs[at + part].l > 0; ++part) {
        float keep, take;
        join(soft, softs[at + part], a.temperature ? a.temperature[row] : 1.f, &keep, &take);
        const float* more = sums_of + (at + part) * pitch;
        for (int c = 0; c < d; ++c) total[c] = total[c] * keep + more[c] * take;
      }
      const float inverse = soft.l > 0 || soft.l != soft.l ? 1.f / soft.l : 0.f;
      float* out = a.out + row * a.out_stride + int64_t{h} * d;
      for (int c = 0; c < d; ++c) out[c] = total[c] * inverse;
      if (a.stats || a.lse) finish(a, row, h, soft);
    }
  return true;
}

static bool attention(const Run& run, const Attention& a) {
  if (a.rows <= 0) return true;
  return a.rows * 4 >= query_rows && a.rows >= 4 ? attend_many(run, a) : attend_few(run, a);
}

static void attention_weights(const Attention& a, int64_t row, int head, float* out) {
  const int d = a.head_dim, kv = head / (a.heads / a.kv_heads);
  const int32_t lo = a.lo[row], n = a.hi[row] - lo;
  if (n <= 0) return;
  const float *q = a.q + row * a.q_stride + int64_t{head} * d, *k = a.k + kv * a.k_head_stride + lo * a.k_stride;
  alignas(64) float s[decode_block + lanes];
  for (int32_t from = 0; from < n; from += decode_block) {
    const int32_t count = static_cast<int32_t>(least(decode_block, n - from));
    dots(q, k + from * a.k_stride, a.k_stride, d, count, a.scale, s);
    std::memcpy(out + from, s, static_cast<size_t>(count) * 4);
  }
  int64_t top;
  const float m = row_max(out, n, &top);
  double total = 0;
  for (int32_t j = 0; j < n; ++j) out[j] -= m;
  exp(out, out, n);
  for (int32_t j = 0; j < n; ++j) total += static_cast<double>(out[j]);
  const float inverse = static_cast<float>(1 / total);
  for (int32_t j = 0; j < n; ++j) out[j] *= inverse;
}
