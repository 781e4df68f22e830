// Loading: every slot is checked against its source, then matrices are copied into the backend's layout by
// several threads, or left in the mapped file where they already are what is wanted.
#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "backend/cpu/plain_store.h"
#include "backend/cuda/open.h"
#include "base/error.h"
#include "base/random.h"
#include "model/model.h"

namespace moescope {
namespace {

constexpr size_t alignment = 64;
constexpr int64_t bytes_a_job = 4 << 20;

int64_t bytes_of(SourceType t) { return t == SourceType::f32 ? 4 : 2; }

/** Some rows of one slot. */
struct Job {
  size_t slot;
  int64_t begin, end;
};

struct Target {
  std::byte* dst = nullptr;  // null: mapped
  const WeightSource* source = nullptr;
  bool packed = false;
};

class Loader {
 public:
  Loader(LoadSpec& spec, Control& control) : spec_(spec), control_(control) {}

  std::unique_ptr<Model> run() {
    model_ = std::make_unique<Model>();
    model_->config = std::move(spec_.config);
    const Config& c = model_->config;
    model_->slots = slots_of(c, model_->weights);
    model_->backend = spec_.cuda   ? cuda_gpu(c, model_->weights, spec_.fast && spec_.format != Format::f32)
                      : spec_.fast ? fast_cpu(c, model_->weights, spec_.threads)
                                   : exact_cpu(c, model_->weights);
    for (const std::string& path : spec_.files) model_->files.emplace_back(path);
    place();
    fill();
    model_->backend->loaded();
    const auto mapped = [](const Slot& s) { return s.matrix->mapped; };
    if (std::none_of(model_->slots.begin(), model_->slots.end(), mapped)) model_->files.clear();
    return std::move(model_);
  }

 private:
  using Use = Slot::Use;

  /** Checks every source and decides where every slot lies. */
  void place() {
    std::unordered_map<std::string, const WeightSource*> sources;
    for (const WeightSource& s : spec_.weights)
      if (!sources.emplace(s.slot, &s).second) fail(Code::argument, s.slot, "is given twice");
    size_t total = 0;
    std::vector<size_t> at(model_->slots.size());
    targets_.resize(model_->slots.size());
    for (size_t i = 0; i < model_->slots.size(); ++i) {
      const Slot& slot = model_->slots[i];
      Matrix& m = *slot.matrix;
      Target& t = targets_[i];
      if (!spec_.random) {
        const auto found = sources.find(slot.name);
        if (found == sources.end())
          fail(Code::argument, slot.name, "the model needs it, but it is not given");
        t.source = found->second;
        sources.erase(found);
        check(slot, *t.source);
      }
      m.format = format_of(slot, t.source);
      const bool multiplies = slot.use == Use::multiply || slot.use == Use::router;
      t.packed = model_->backend->on_device() || (multiplies && !model_->backend->plain());
      m.packed = t.packed;
      if (!t.packed && slot.use != Use::vector && can_map(m, t.source)) {
        m.mapped = true;
        m.data = model_->files[static_cast<size_t>(t.source->file)].data() + t.source->offset;
        continue;
      }
      at[i] = total;
      const size_t bytes = t.packed ? model_->backend->matrix_bytes(m.format, m.rows, m.cols)
                                    : moescope::bytes_of(m.format, m.rows, m.cols);
      total += round_up(bytes, alignment);
    }
    if (!sources.empty()) fail(Code::argument, sources.begin()->first, "the model has no such slot");
    const uint64_t free = model_->backend->free_bytes();
    if (total > free)
      fail(Code::memory, "weights",
           "they take " + std::to_string(total) + " bytes, " + std::to_string(free) + " are free" +
               (model_->backend->on_device() ? " on the device" : ""));
    model_->store = Store(*model_->backend, total, "weights");
    model_->store.prefer_huge_pages();
    for (size_t i = 0; i < targets_.size(); ++i) {
      if (model_->slots[i].matrix->mapped) continue;
      targets_[i].dst = model_->store.data() + at[i];
      model_->slots[i].matrix->data = targets_[i].dst;
    }
  }

  Format format_of(const Slot& slot, const WeightSource* source) const {
    if (slot.use == Use::vector || slot.use == Use::router) return Format::f32;
    // A table that is only looked up widens exactly, so it may stay as it is.
    if (slot.use == Use::lookup && source && source->type == SourceType::bf16) return Format::bf16;
    // int4 leaves the embedding, tied or not, in 16 bits.
    if (slot.matrix == &model_->weights.embed && group_of(spec_.format) > 0) return Format::bf16;
    return spec_.format;
  }

  void check(const Slot& slot, const WeightSource& s) const {
    const Matrix& m = *slot.matrix;
    if (s.rows != m.rows || s.cols != m.cols)
      fail(Code::argument, slot.name,
           "is [" + std::to_string(s.rows) + ", " + std::to_string(s.cols) + "], the model needs [" +
               std::to_string(m.rows) + ", " + std::to_string(m.cols) + "]");
    if (s.file < 0 || s.file >= static_cast<int64_t>(model_->files.size()))
      fail(Code::argument, slot.name, "lies in file " + std::to_string(s.file) + ", which is not given");
    const MappedFile& file = model_->files[static_cast<size_t>(s.file)];
    int64_t down = 0, across = 0, last = 0, end = 0;
    const bool overflow =
        s.row_stride < 0 || s.col_stride < 0 || s.offset < 0 ||
        __builtin_mul_overflow(s.rows - 1, s.row_stride, &down) ||
        __builtin_mul_overflow(s.cols - 1, s.col_stride, &across) ||
        __builtin_add_overflow(down, across, &last) || __builtin_add_overflow(last, int64_t{1}, &last) ||
        __builtin_mul_overflow(last, bytes_of(s.type), &last) || __builtin_add_overflow(s.offset, last, &end);
    if (overflow || end > static_cast<int64_t>(file.bytes()))
      fail(Code::file, slot.name,
           "reaches beyond the end of " + file.path() + " (" + std::to_string(file.bytes()) + " bytes)");
  }

  bool can_map(const Matrix& m, const WeightSource* s) const {
    if (!s || s->col_stride != 1 || s->row_stride != m.cols) return false;
    if (m.rows * m.cols * bytes_of(s->type) < spec_.map_from) return false;
    const bool same = (s->type == SourceType::f32 && m.format == Format::f32) ||
                      (s->type == SourceType::bf16 && m.format == Format::bf16);
    return same && s->offset % bytes_of(s->type) == 0;
  }

  void fill() {
    std::vector<Job> jobs;
    int64_t total = 0;
    for (size_t i = 0; i < targets_.size(); ++i) {
      const Matrix& m = *model_->slots[i].matrix;
      const int64_t unit = targets_[i].packed ? model_->backend->pack_rows() : 1;
      int64_t step = std::max<int64_t>(1, bytes_a_job / (m.cols * 4));
      step = (step + unit - 1) / unit * unit;
      for (int64_t r = 0; r < m.rows; r += step) jobs.push_back({i, r, std::min(r + step, m.rows)});
      total += m.rows * m.cols * 4;
    }
    control_.total = total;
    std::vector<std::atomic<int64_t>> bad(targets_.size());
    std::atomic<size_t> next{0};
    std::mutex mutex;
    std::exception_ptr failure;
    const auto work = [&] {
      try {
        std::vector<float> rows;
        for (size_t i; (i = next.fetch_add(1)) < jobs.size();) {
          if (control_.cancel.load(std::memory_order_relaxed)) return;
          bad[jobs[i].slot] += fill(jobs[i], rows);
          const Matrix& m = *model_->slots[jobs[i].slot].matrix;
          control_.done += (jobs[i].end - jobs[i].begin) * m.cols * 4;
        }
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
        next = jobs.size();
      }
    };
    const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
    const size_t wanted = spec_.threads > 0 ? static_cast<size_t>(spec_.threads) : std::min(cores, 8u);
    std::vector<std::thread> threads;
    for (size_t i = 1; i < std::min(wanted, jobs.size()); ++i) threads.emplace_back(work);
    work();
    for (std::thread& t : threads) t.join();
    if (failure) std::rethrow_exception(failure);
    if (control_.cancel) fail(Code::cancelled, "load", "stopped while loading");
    for (size_t i = 0; i < bad.size(); ++i)
      if (bad[i] > 0) model_->nonfinite.push_back({model_->slots[i].name, bad[i]});
  }

  /** Returns the number of elements that are not finite. */
  int64_t fill(const Job& job, std::vector<float>& rows) const {
    const Target& t = targets_[job.slot];
    const Matrix& m = *model_->slots[job.slot].matrix;
    Source source;
    if (spec_.random) {
      const RandomFill draw{spec_.random->seed, job.slot, static_cast<float>(spec_.random->std)};
      const bool ones = model_->slots[job.slot].use == Use::vector;
      if (t.packed && !ones && model_->backend->draw(m, t.dst, draw, job.begin, job.end)) return 0;
      this->draw(job, m, rows);
      // Packing counts rows from the matrix's first one.
      source = {reinterpret_cast<const std::byte*>(rows.data()) - job.begin * m.cols * 4, SourceType::f32,
                m.cols, 1};
    } else {
      const WeightSource& s = *t.source;
      source = {model_->files[static_cast<size_t>(s.file)].data() + s.offset, s.type, s.row_stride,
                s.col_stride};
    }
    if (!t.dst) return count_nonfinite(source, m.cols, job.begin, job.end);
    if (t.packed) return model_->backend->pack(m, t.dst, source, job.begin, job.end);
    return store_rows(m, t.dst, source, job.begin, job.end);
  }

  /** Rows of a random matrix: N(0, std) by (seed, slot, element), the same for any number of threads; norms
   * are 1. */
  void draw(const Job& job, const Matrix& m, std::vector<float>& rows) const {
    const int64_t from = job.begin * m.cols, to = job.end * m.cols;
    rows.resize(static_cast<size_t>(to - from));
    if (model_->slots[job.slot].use == Use::vector) {
      std::fill(rows.begin(), rows.end(), 1.0f);
      return;
    }
    const float std = static_cast<float>(spec_.random->std);
    for (int64_t block = from / 4; block * 4 < to; ++block) {
      const auto four = normal4(spec_.random->seed, static_cast<uint64_t>(block), job.slot);
      for (int64_t i = std::max(from, block * 4); i < std::min(to, block * 4 + 4); ++i)
        rows[static_cast<size_t>(i - from)] = std * four[static_cast<size_t>(i - block * 4)];
    }
  }

  LoadSpec& spec_;
  Control& control_;
  std::unique_ptr<Model> model_;
  std::vector<Target> targets_;
};

}  // namespace

std::unique_ptr<Model> load_model(LoadSpec spec, Control& control) { return Loader(spec, control).run(); }

const Slot& Model::slot(const std::string& name) const {
  for (const Slot& s : slots)
    if (s.name == name) return s;
  fail(Code::argument, name, "the model has no such weights");
}

std::vector<Model::Part> Model::memory() const {
  std::map<std::string, std::pair<uint64_t, uint64_t>> parts;  // in memory, mapped
  for (const Slot& s : slots) {
    const Matrix& m = *s.matrix;
    const uint64_t plain = bytes_of(m.format, m.rows, m.cols);
    if (m.mapped) parts[s.part].second += plain;
    else parts[s.part].first += m.packed ? backend->matrix_bytes(m.format, m.rows, m.cols) : plain;
  }
  std::vector<Part> out;
  for (const char* part : {"embed", "attention", "router", "experts", "shared", "dense", "head"}) {
    const auto [owned, mapped] = parts[part];
    if (owned) out.push_back({part, backend->place(), owned});
    if (mapped) out.push_back({part, "file", mapped});
  }
  out.push_back({"kv", backend->place(), kv_bytes.load()});
  out.push_back({"scratch", backend->place(), backend->scratch_bytes()});
  if (const size_t pinned = backend->pinned_bytes()) out.push_back({"captures", "pinned", pinned});
  return out;
}

}  // namespace moescope
