#include "node/task.h"

#include "node/closure.h"

namespace moescope {

napi_value Task::object(napi_env env) {
  napi_value promise = nullptr;
  napi_create_promise(env, &deferred_, &promise);
  dispatch_->begin();
  const napi_value task = js::object(env);
  js::set(env, task, "done", promise);
  js::method(env, task, "cancel", [self = shared_from_this()](napi_env e, napi_value) {
    self->watch_.control.cancel = true;
    return js::undefined(e);
  });
  js::method(env, task, "progress", [self = shared_from_this()](napi_env e, napi_value) {
    const napi_value progress = js::object(e);
    js::set(e, progress, "done", static_cast<double>(self->watch_.control.done.load()));
    js::set(e, progress, "total", static_cast<double>(self->watch_.control.total.load()));
    return progress;
  });
  return task;
}

void Task::run() {
  const Error gone(Code::released, "", "the model or the state was released");
  try {
    if (released_) throw gone;
    Value value = work(watch_);
    if (released_) throw gone;
    ended();
    settle(std::move(value));
  } catch (const Error& e) {
    ended();
    refuse(released_ && e.code() == Code::cancelled ? gone : e);
  } catch (const std::bad_alloc&) {
    ended();
    refuse(Error(Code::memory, "", "out of memory"));
  } catch (const std::exception& e) {
    ended();
    refuse(Error(Code::internal, "", e.what()));
  }
}

void Task::release() {
  released_ = true;
  watch_.control.cancel = true;
}

void Task::drop() {
  ended();
  refuse(Error(Code::released, "", "the model was released"));
}

void Task::settle(Value value) {
  dispatch_->post([self = shared_from_this(), value = std::move(value)](napi_env env) {
    napi_resolve_deferred(env, self->deferred_, value(env));
    self->dispatch_->end();
  });
}

void Task::refuse(const Error& e) {
  dispatch_->post([self = shared_from_this(), e](napi_env env) {
    napi_reject_deferred(env, self->deferred_, js::error(env, e));
    self->dispatch_->end();
  });
}

}  // namespace moescope
