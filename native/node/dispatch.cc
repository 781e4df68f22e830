#include "node/dispatch.h"

#include "base/error.h"
#include "node/js.h"

namespace moescope {

Dispatch::Dispatch(napi_env env) : env_(env) {
  const napi_status status =
      napi_create_threadsafe_function(env, nullptr, nullptr, js::string(env, "moescope"), 0, 1, nullptr,
                                      nullptr, this, &Dispatch::call, &function_);
  if (status != napi_ok) fail(Code::internal, "addon", "no thread-safe function could be made");
  napi_unref_threadsafe_function(env, function_);
}

void Dispatch::post(std::function<void(napi_env)> f) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  auto* data = new std::function<void(napi_env)>(std::move(f));
  if (napi_call_threadsafe_function(function_, data, napi_tsfn_nonblocking) != napi_ok) delete data;
}

void Dispatch::call(napi_env env, napi_value, void*, void* data) {
  const std::unique_ptr<std::function<void(napi_env)>> f(static_cast<std::function<void(napi_env)>*>(data));
  if (env) (*f)(env);
}

void Dispatch::begin() {
  if (pending_++ == 0 && !closed_) napi_ref_threadsafe_function(env_, function_);
}

void Dispatch::end() {
  if (--pending_ == 0 && !closed_) napi_unref_threadsafe_function(env_, function_);
}

void Dispatch::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

}  // namespace moescope
