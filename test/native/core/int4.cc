// int4: the rounding against its twin, the layout however rows are shared out, and what either backend keeps.
#include "base/int4.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "backend/cpu/plain_store.h"
#include "base/number.h"
#include "check.h"
#include "int4_twin.h"
#include "suites.h"

namespace {

using namespace fixture;

constexpr Format int4_formats[] = {Format::int4_32, Format::int4_64, Format::int4_128};

/** Equal numbers, or both none; a zero has no sign here. */
bool equal(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i] && !(std::isnan(a[i]) && std::isnan(b[i]))) return false;
  return true;
}

Matrix matrix_of(Format f, int64_t rows, int64_t cols) {
  Matrix m;
  m.rows = rows;
  m.cols = cols;
  m.format = f;
  return m;
}

/** A matrix as the exact backend keeps it, made in pieces that end at these rows. */
struct Stored {
  std::vector<uint64_t> memory;
  Matrix m;
  int64_t bad = 0;

  Stored(const std::vector<float>& values, int64_t rows, int64_t cols, Format f, std::vector<int64_t> ends,
         unsigned char before) {
    m = matrix_of(f, rows, cols);
    memory.resize(bytes_of(f, rows, cols) / 8 + 1);
    std::memset(memory.data(), before, memory.size() * 8);
    m.data = memory.data();
    const Source source{reinterpret_cast<const std::byte*>(values.data()), SourceType::f32, cols, 1};
    for (size_t i = ends.size(); i-- > 0;)  // the last rows first
      bad += store_rows(m, memory.data(), source, i ? ends[i - 1] : 0, ends[i]);
  }
  std::vector<float> read() const {
    std::vector<float> out(static_cast<size_t>(m.rows * m.cols));
    load_rows(m, out.data(), 0, m.rows);
    return out;
  }
  bool same_bytes(const Stored& other) const {
    return std::memcmp(memory.data(), other.memory.data(), bytes_of(m.format, m.rows, m.cols)) == 0;
  }
};

void one_group(const std::vector<float>& values, const std::string& what) {
  const int64_t n = static_cast<int64_t>(values.size());
  for (const Format f : int4_formats) {
    const Stored s(values, 1, n, f, {1}, 0x5a);
    check::that(equal(s.read(), int4_twin::rounded(values, 1, n, group_of(f))),
                what + " in groups of " + std::to_string(group_of(f)));
  }
}

void scales() {
  Draw draw{40};
  bool same = true;
  for (int i = 0; i < 20000; ++i) {
    // From below the least f16 to beyond the largest.
    const float x = std::ldexp(draw.normal(1), draw.below(150) - 120);
    same &= from_f16(int4_scale(x)) == int4_twin::nearest_f16(double{x} / -8);
  }
  // Between each two neighbouring f16 the middle, and what lies on either side of it.
  for (uint16_t h = 0; h < 0x7bff; ++h) {
    const float low = from_f16(h), high = from_f16(static_cast<uint16_t>(h + 1)), middle = (low + high) / 2;
    for (const float x : {low, middle, std::nextafterf(middle, low), std::nextafterf(middle, high)})
      for (const float sign : {1.0f, -1.0f}) {
        const float extreme = x * -8 * sign;
        same &= from_f16(int4_scale(extreme)) == int4_twin::nearest_f16(double{x} * sign);
      }
  }
  check::that(same, "the scale is the f16 nearest to the eighth of the largest");
}

void groups() {
  Draw draw{41};
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN(),
              most = std::numeric_limits<float>::max(), least = std::numeric_limits<float>::denorm_min();
  one_group(std::vector<float>(128, 0), "zeros");
  one_group({0.0f, -0.0f, 0.0f}, "zeros of either sign");
  one_group({most, -most, 1, -1e30f, 600000, 524032, -524032}, "huge numbers");
  one_group({least, -least, 1e-40f, 1e-30f}, "numbers that are nothing in f16");
  one_group({4e-7f, -3e-7f, 1e-7f, -4.8e-7f}, "numbers of the least f16");
  one_group({1, nan, 2}, "a NaN");
  one_group({1, 2, -inf}, "an infinity");
  one_group({3, -3, 1, -1}, "equal ones, the positive first");
  one_group({-3, 3, 1, -1}, "equal ones, the negative first");
  for (const float sign : {1.0f, -1.0f})
    for (const int e : {-12, 0, 9}) {
      std::vector<float> ties = {std::ldexp(sign * 8, e)};
      for (float half = -15; half <= 15; ++half) ties.push_back(std::ldexp(half / 2, e));
      one_group(ties, "halves between the codes");
      for (size_t i = 1; i < ties.size(); ++i) ties[i] = std::nextafterf(ties[i], i % 2 ? 1e9f : -1e9f);
      one_group(ties, "just beside the halves");
    }
  for (int i = 0; i < 400; ++i) {
    std::vector<float> values(static_cast<size_t>(1 + draw.below(300)));
    const float unit = std::ldexp(1.0f, draw.below(60) - 40);
    for (float& x : values) x = draw.normal(unit);
    one_group(values, "random group " + std::to_string(i));
  }
}

void matrices() {
  Draw draw{42};
  for (int i = 0; i < 120; ++i) {
    const int64_t rows = 1 + draw.below(40), cols = 1 + draw.below(i % 2 ? 400 : 40);
    std::vector<float> values(static_cast<size_t>(rows * cols));
    for (float& x : values) x = draw.normal(0.02f);
    const int64_t spoiled = i % 4 ? 0 : 1 + draw.below(3);
    for (int64_t k = 0; k < spoiled; ++k)
      values[static_cast<size_t>(draw.below(static_cast<int>(values.size())))] = k % 2 ? NAN : INFINITY;
    const int64_t bad =
        std::count_if(values.begin(), values.end(), [](float x) { return !std::isfinite(x); });
    for (const Format f : int4_formats) {
      const std::string what = std::to_string(rows) + " x " + std::to_string(cols) + " in groups of " +
                               std::to_string(group_of(f));
      const Stored whole(values, rows, cols, f, {rows}, 0xff);
      const std::vector<float> want = int4_twin::rounded(values, rows, cols, group_of(f));
      check::that(equal(whole.read(), want), what + ": the values");
      check::that(whole.bad == bad, what + ": how many are not finite");
      std::vector<int64_t> ends;
      for (int64_t at = 0; at < rows; ends.push_back(at)) at = std::min(rows, at + 1 + draw.below(5));
      check::that(Stored(values, rows, cols, f, ends, 0).same_bytes(whole),
                  what + ": the bytes depend on how rows are shared out");

      const Int4Layout at{rows, cols, group_of(f)};
      std::vector<float> each;
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < cols; ++c) each.push_back(int4_element(whole.m.data, at, r, c));
      check::that(equal(each, want), what + ": element by element");
      bool zero = true;
      for (int64_t r = 0; r < at.row_tiles() * 8; ++r)
        for (int64_t c = 0; c < at.col_tiles() * 128; ++c)
          if (r >= rows || c >= cols)
            // A tail may end within a group, whose scale is the group's.
            zero &=
                int4_element(whole.m.data, at, r, c) == 0 || std::isnan(int4_element(whole.m.data, at, r, c));
      check::that(zero, what + ": beyond the matrix is nothing");

      // The same numbers from a transposed source.
      std::vector<float> turned(values.size());
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < cols; ++c)
          turned[static_cast<size_t>(c * rows + r)] = values[static_cast<size_t>(r * cols + c)];
      Stored other(values, rows, cols, f, {rows}, 0);
      const Source source{reinterpret_cast<const std::byte*>(turned.data()), SourceType::f32, 1, rows};
      store_rows(other.m, other.memory.data(), source, 0, rows);
      check::that(other.same_bytes(whole), what + ": from a transposed source");
    }
  }
}

/** What is loaded, by either backend: the twin's numbers, in the formats and the bytes that are promised. */
void models() {
  for (uint64_t seed = 300; seed < 312; ++seed) {
    Draw draw{seed};
    const Config c = random_config(draw);
    const Values values = random_weights(c, draw);
    for (const Format f : int4_formats) {
      const Values want = int4_twin::held(c, values, f);
      for (const bool fast : {false, true}) {
        const auto m = load(c, values, fast, f);
        const std::string what = "model " + std::to_string(seed) + (fast ? " fast" : " exact") + " int4_" +
                                 std::to_string(group_of(f));
        for (const Slot& s : m->slots) {
          const Matrix& w = *s.matrix;
          const bool rounds = s.use == Slot::Use::multiply && s.name != "embed";
          const bool whole = s.use == Slot::Use::vector || s.use == Slot::Use::router;
          check::that(w.format == (rounds  ? f
                                   : whole ? Format::f32
                                           : Format::bf16),
                      what + " " + s.name + ": its format");
          std::vector<float> got(static_cast<size_t>(w.rows * w.cols));
          m->backend->unpack(w, got.data(), 0, w.rows);
          check::that(equal(got, want.at(s.name)), what + " " + s.name + ": other weights than the twin's");
          if (rounds && !(fast && fast_is_cuda))
            check::that(m->backend->matrix_bytes(f, w.rows, w.cols) ==
                            static_cast<size_t>((w.rows + 7) / 8 * ((w.cols + 127) / 128)) *
                                static_cast<size_t>(512 + 8 * 128 / group_of(f) * 2),
                        what + " " + s.name + ": its bytes");
        }
      }
    }
  }
}

}  // namespace

void test_int4() {
  scales();
  groups();
  matrices();
  models();
}
