// What a device does that a CPU does not: it has memory of its own, which ends at the worst moment, and it
// may be lost as a whole. Runs on a GPU (`native-tests cuda`) and on the stand-in of `../fake-cuda`.
#include <cstdlib>
#include <cstring>
#include <thread>

#include "backend/cuda/context.h"
#include "backend/cuda/inject.h"
#include "backend/cuda/open.h"
#include "check.h"
#include "fixture.h"
#include "suites.h"

namespace {

using namespace fixture;

/** For as long as it lives, backends that are made obey this. */
struct Injected {
  explicit Injected(const std::string& text) {
    const char* now = std::getenv("MOESCOPE_INJECT");
    before = now ? now : "";
    setenv("MOESCOPE_INJECT", text.c_str(), 1);
  }
  ~Injected() { setenv("MOESCOPE_INJECT", before.c_str(), 1); }
  std::string before;
};

const std::string roomy = "cuda-memory:" + std::to_string(1 << 30);

std::vector<float> logits_of(const std::shared_ptr<Model>& m, const std::vector<int32_t>& ids, int tile = 0) {
  const RunResult r = forward(m, ids, {{Site::logits, -1, {}, false, {}, {}}}, {}, tile);
  const float* x = r.captures[0].data.as<float>();
  return {x, x + r.captures[0].data.used() / sizeof(float)};
}

/** Load, a state, small and large tiles, captures: each allocation fails in its turn. */
void every_allocation() {
  Draw draw{1200};
  Config c = random_config(draw);
  while (!c.layers[0].moe) c = random_config(draw);
  const Values values = random_weights(c, draw);
  const std::vector<int32_t> ids = random_ids(c, draw, 40);
  const auto work = [&] {
    const auto m = load(c, values, true);
    logits_of(m, ids, 3);
    return logits_of(m, ids);
  };
  const Injected all(roomy);
  const auto before = load(c, values, true);
  const std::vector<float> want = logits_of(before, ids);
  const uint64_t free = before->backend->free_bytes();
  int failures = 0;
  for (bool done = false; !done && failures < 200;) {
    const std::string what = "allocation " + std::to_string(failures);
    std::vector<float> got;
    try {
      const Injected one(roomy + ",cuda-allocation:" + std::to_string(failures));
      got = work();
      done = true;
    } catch (const Error& e) {
      check::that(e.code() == Code::memory, what + ": " + name(e.code()) + ", " + e.what());
      check::that(std::strstr(e.what(), " bytes, ") && !e.where().empty(),
                  what + " has no numbers: " + e.what());
      ++failures;
    }
    load(c, values, true);  // from here on all succeed again
    check::that(!done || got == want, what + ": none failed, and the values are right");
    check::that(before->backend->free_bytes() == free, what + ": all is given back");
    check::that(logits_of(before, ids) == want, what + ": the model before it works");
  }
  check::that(failures >= 5 && failures < 200, std::to_string(failures) + " allocations were made to fail");
}

/** What does not fit is refused with the device's numbers before it is taken. */
void refused() {
  Draw draw{1201};
  const Config c = random_config(draw);
  const Values values = random_weights(c, draw);
  const auto refusal = [](auto f) {
    try {
      f();
    } catch (const Error& e) {
      return std::string(e.code() == Code::memory ? e.what() : "another error: ") + " at " + e.where();
    }
    return std::string("nothing was refused");
  };
  std::string said;
  {
    const Injected tiny("cuda-memory:10000");
    said = refusal([&] { load(c, values, true); });
    check::that(said.find("on the device at weights") != std::string::npos, "weights: " + said);
  }
  const Injected all(roomy);
  const auto m = load(c, values, true);
  said = refusal([&] { State huge(m, 1000, 1 << 24); });
  check::that(said.find("on the device at KV cache") != std::string::npos, "KV: " + said);
  logits_of(m, random_ids(c, draw, 9));
  bool kv = false, scratch = false, pinned = false;
  State state(m, 1, 64);
  forward(state, spec_of({random_ids(c, draw, 9)}));
  for (const Model::Part& p : m->memory()) {
    const std::string part = p.part, place = p.place;
    kv |= part == "kv" && place == "cuda" && p.bytes > 0;
    scratch |= part == "scratch" && place == "cuda" && p.bytes > 0;
    pinned |= part == "captures" && place == "pinned" && p.bytes > 0;
  }
  check::that(kv && scratch && pinned, "memory is told by part and place");
}

void words() {
  using cuda::read_injections;
  const cuda::Inject both = read_injections("cuda-fault:3,cuda-memory:100");
  check::that(both.fault == 3 && both.memory == 100 && both.allocation == -1, "faults on purpose are read");
  check::that(read_injections(nullptr).fault == -1, "and none without them");
  for (const char* wrong : {"cuda-fault", "cuda-fault:", "cuda-fault:x", "cuda-memory:-1", "nonsense:1"})
    check::that(code_of([&] { read_injections(wrong); }) == static_cast<int>(Code::argument), wrong);
}

}  // namespace

void test_device() {
  words();
  refused();
  every_allocation();
}

/** Ends the device for this process: the last suite. */
void test_lost() {
  Draw draw{1202};
  Config c = random_config(draw);
  while (c.layer_count() < 2) c = random_config(draw);
  const Values values = random_weights(c, draw);
  const std::vector<int32_t> ids = random_ids(c, draw, 40);
  const auto healthy = load(c, values, true);
  State state(healthy, 1, 80);
  const RunResult early = forward(state, spec_of({ids}, every_site(c)));
  std::vector<std::vector<float>> want;
  for (const Captured& x : early.captures)
    want.emplace_back(x.data.as<float>(), x.data.as<float>() + x.data.used() / sizeof(float));

  std::string where, message;
  const auto lost = [&](auto f, const std::string& what) {
    try {
      f();
      check::that(false, what + ": nothing was thrown");
    } catch (const Error& e) {
      check::that(e.code() == Code::lost, what + ": " + name(e.code()) + " " + e.what());
      if (message.empty()) message = e.what(), where = e.where();
      check::that(e.what() == message && e.where() == where,
                  what + ": tells of the first fault, not " + e.what());
    }
  };
  {
    const Injected fault("cuda-fault:1");
    const auto sick = load(c, values, true);
    lost([&] { forward(sick, ids, {}); }, "the run that trapped");
    check::that(message.find("CUDA says: ") == 0 && message.find(where) != std::string::npos &&
                    message.find("is lost") != std::string::npos,
                "it says what happened and where: " + message);
    lost([&] { forward(sick, ids, {}); }, "its next run");
    lost([&] { State another(sick, 1, 9); }, "its next state");
    // It ends here: nothing is thrown, nothing waits.
  }
  lost([&] { forward(state, spec_of({ids})); }, "another model's run");
  lost([&] { load(c, values, true); }, "the next load");
  lost([&] { healthy->backend->copy_rate(); }, "the copy rate");
  lost([] { cuda_memory(); }, "free memory");
  check::that(cuda_status().state == CudaStatus::State::lost && cuda_status().text == message,
              "the status is lost: " + cuda_status().text);
  check::that(!healthy->memory().empty(), "memory is still told");
  bool same = true;
  for (size_t i = 0; i < want.size(); ++i)
    same &=
        std::memcmp(want[i].data(), early.captures[i].data.as<float>(), want[i].size() * sizeof(float)) == 0;
  check::that(same, "earlier values are still there");
  const auto cpu = load(c, values, false);
  check::that(!logits_of(cpu, ids).empty(), "the CPU goes on");
}
