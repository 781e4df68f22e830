// Work that ends with a promise: loading a model, a forward run, a generation.
#pragma once

#include <node_api.h>

#include <memory>
#include <mutex>
#include <vector>

#include "base/error.h"
#include "node/dispatch.h"
#include "node/session.h"

namespace moescope {

class Task : public Job, public std::enable_shared_from_this<Task> {
 public:
  explicit Task(std::shared_ptr<Dispatch> dispatch) : dispatch_(std::move(dispatch)) {}

  /** Main thread: `{ done, cancel(), progress() }`; the promise is settled once. */
  napi_value object(napi_env env);

  void run() final;
  void release() final;
  void drop() final;

 protected:
  /** Makes the promise's value, on the main thread. */
  using Value = std::function<napi_value(napi_env)>;
  /** On the session's thread. */
  virtual Value work(RunWatch&) = 0;
  /** On the session's thread, when all is over but the promise. */
  virtual void ended() {}

  const std::shared_ptr<Dispatch>& dispatch() const { return dispatch_; }

  RunWatch watch_;

 private:
  void settle(Value value);
  void refuse(const Error&);

  std::shared_ptr<Dispatch> dispatch_;
  napi_deferred deferred_ = nullptr;
  std::atomic<bool> released_{false};
};

}  // namespace moescope
