#include "node/run_task.h"

#include <cmath>

#include "node/closure.h"

namespace moescope {
namespace {

napi_value captured(napi_env env, Captured& c, Arrays& arrays) {
  const napi_value out = js::object(env);
  js::set(env, out, "site", name(c.site));
  js::set(env, out, "layer", static_cast<double>(c.layer));
  js::set(env, out, "shape", js::array(env, c.shape.size(), [&](size_t i) {
            return js::number(env, static_cast<double>(c.shape[i]));
          }));
  js::set(env, out, "data", arrays.take(env, napi_float32_array, std::move(c.data)));
  js::set(env, out, "rows", js::int32_array(env, c.rows));
  return out;
}

napi_value profile_object(napi_env env, const Profile& profile) {
  const napi_value out = js::object(env);
  js::set(env, out, "limit", profile.limit);
  js::set(env, out, "rows", js::array(env, profile.rows.size(), [&](size_t i) {
            const Profile::Row& r = profile.rows[i];
            const napi_value row = js::object(env);
            js::set(env, row, "phase", r.decode ? "decode" : "prefill");
            js::set(env, row, "verb", name(r.verb));
            js::set(env, row, "calls", static_cast<double>(r.calls));
            js::set(env, row, "ms", r.ms);
            js::set(env, row, "bytes", r.work.bytes);
            js::set(env, row, "flops", r.work.flops);
            return row;
          }));
  return out;
}

napi_value result_object(napi_env env, RunResult& r, bool generated) {
  const auto arrays = std::make_shared<Arrays>();
  const napi_value out = js::object(env);
  js::set(env, out, "captures",
          js::array(env, r.captures.size(), [&](size_t i) { return captured(env, r.captures[i], *arrays); }));
  js::set(env, out, "logprob", arrays->take(env, napi_float32_array, std::move(r.logprob)));
  js::set(env, out, "predEntropy", arrays->take(env, napi_float32_array, std::move(r.entropy)));
  js::set(env, out, "rank", arrays->take(env, napi_int32_array, std::move(r.rank)));
  js::set(env, out, "last", arrays->take(env, napi_float32_array, std::move(r.last)));
  js::set(env, out, "prefillMs", r.prefill_ms);
  js::set(env, out, "decodeMs", r.decode_ms);
  if (r.profile) js::set(env, out, "profile", profile_object(env, *r.profile));
  if (generated) {
    js::set(env, out, "ids", js::int32_array(env, r.ids));
    js::set(env, out, "reason", std::string(r.reason));
  }
  js::method(env, out, "release", [arrays](napi_env e, napi_value) {
    arrays->release(e);
    return js::undefined(e);
  });
  return out;
}

}  // namespace

RunTask::RunTask(std::shared_ptr<Dispatch> dispatch, std::shared_ptr<StateHandle> handle, RunSpec spec)
    : Task(std::move(dispatch)), handle_(std::move(handle)), state_(handle_->state), spec_(std::move(spec)) {
  if (spec_.generation) watch_.token = [this](int32_t id) { token(id); };
}

napi_value RunTask::object(napi_env env) {
  const napi_value task = Task::object(env);
  if (spec_.generation)
    js::method(env, task, "next", [self = self()](napi_env e, napi_value argument) {
      double have = 0;
      if (napi_get_value_double(e, argument, &have) != napi_ok || !(have >= 0 && have <= 1e9))
        fail(Code::argument, "next", "takes the number of tokens that are known");
      return self->next(e, static_cast<size_t>(have));
    });
  return task;
}

Task::Value RunTask::work(RunWatch& watch) {
  auto result = std::make_shared<RunResult>(moescope::run(*state_, spec_, watch));
  return [result, generated = spec_.generation.has_value()](napi_env env) {
    return result_object(env, *result, generated);
  };
}

void RunTask::ended() {
  {
    const std::lock_guard lock(handle_->mutex);
    handle_->position.assign(state_->position.begin(), state_->position.end());
  }
  state_.reset();
  if (!spec_.generation) return;
  const std::lock_guard lock(mutex_);
  over_ = true;
  if (!waiters_.empty()) dispatch()->post([self = self()](napi_env env) { self->answer(env); });
}

void RunTask::token(int32_t id) {
  const std::lock_guard lock(mutex_);
  ids_.push_back(id);
  for (const Waiter& w : waiters_)
    if (ids_.size() > w.have) {
      dispatch()->post([self = self()](napi_env env) { self->answer(env); });
      return;
    }
}

napi_value RunTask::next(napi_env env, size_t have) {
  napi_deferred deferred = nullptr;
  napi_value promise = nullptr;
  napi_create_promise(env, &deferred, &promise);
  {
    const std::lock_guard lock(mutex_);
    waiters_.push_back({deferred, have});
  }
  answer(env);
  return promise;
}

void RunTask::answer(napi_env env) {
  std::vector<napi_deferred> ready;
  std::vector<int32_t> ids;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(waiters_, [&](const Waiter& w) {
      if (!over_ && ids_.size() <= w.have) return false;
      ready.push_back(w.deferred);
      return true;
    });
    if (!ready.empty()) ids = ids_;
  }
  for (const napi_deferred d : ready) napi_resolve_deferred(env, d, js::int32_array(env, ids));
}

}  // namespace moescope
