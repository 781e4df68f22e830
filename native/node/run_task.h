// Forward runs and generations of a state, and how their results look in JavaScript.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "node/arrays.h"
#include "node/task.h"

namespace moescope {

/** A state as the main thread knows it. */
struct StateHandle {
  std::shared_ptr<State> state;  // null: released
  std::mutex mutex;
  std::vector<int32_t> position;  // after the last run
  std::vector<std::weak_ptr<Task>> tasks;
};

class RunTask final : public Task {
 public:
  RunTask(std::shared_ptr<Dispatch> dispatch, std::shared_ptr<StateHandle> handle, RunSpec spec);

  /** Main thread: the task's object, with `next(have)` for a generation. */
  napi_value object(napi_env env);

 private:
  struct Waiter {
    napi_deferred deferred;
    size_t have;
  };
  Value work(RunWatch&) override;
  void ended() override;
  void token(int32_t id);
  napi_value next(napi_env env, size_t have);
  /** Main thread: answers who waits for fewer tokens than there are. */
  void answer(napi_env env);

  std::shared_ptr<RunTask> self() { return std::static_pointer_cast<RunTask>(shared_from_this()); }

  std::shared_ptr<StateHandle> handle_;
  std::shared_ptr<State> state_;
  RunSpec spec_;

  std::mutex mutex_;
  std::vector<int32_t> ids_;
  std::vector<Waiter> waiters_;
  bool over_ = false;
};

}  // namespace moescope
