// C++ closures as functions of JavaScript, and the border where C++ errors become JavaScript's.
#pragma once

#include <node_api.h>

#include <functional>
#include <new>

#include "node/js.h"

namespace moescope::js {

/** Runs f; what it throws becomes a pending JavaScript exception. */
template <class F>
napi_value guard(napi_env env, F&& f) noexcept {
  const auto raise = [env](const Error& e) {
    bool pending = false;
    napi_is_exception_pending(env, &pending);
    if (!pending) napi_throw(env, error(env, e));
  };
  try {
    return f();
  } catch (const Error& e) {
    raise(e);
  } catch (const std::bad_alloc&) {
    raise(Error(Code::memory, "", "out of memory"));
  } catch (const std::exception& e) {
    raise(Error(Code::internal, "", e.what()));
  }
  return nullptr;
}

/** The first argument, undefined if there is none. */
using Body = std::function<napi_value(napi_env, napi_value)>;

inline napi_value call(napi_env env, napi_callback_info info) {
  return guard(env, [&] {
    size_t count = 1;
    napi_value argument = nullptr;
    void* data = nullptr;
    napi_get_cb_info(env, info, &count, &argument, nullptr, &data);
    return (*static_cast<Body*>(data))(env, argument);
  });
}

inline void drop(napi_env, void* data, void*) { delete static_cast<Body*>(data); }

/** A function that keeps `body` as long as it lives. */
inline napi_value function(napi_env env, const char* name, Body body) {
  auto* data = new Body(std::move(body));
  napi_value f = nullptr;
  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, call, data, &f) != napi_ok ||
      napi_add_finalizer(env, f, data, drop, nullptr, nullptr) != napi_ok)
    delete data;
  return f;
}

inline void method(napi_env env, napi_value object, const char* name, Body body) {
  set(env, object, name, function(env, name, std::move(body)));
}

inline void getter(napi_env env, napi_value object, const char* name, Body body) {
  auto* data = new Body(std::move(body));
  const napi_property_descriptor property{name,    nullptr, nullptr,         call,
                                          nullptr, nullptr, napi_enumerable, data};
  napi_define_properties(env, object, 1, &property);
  napi_add_finalizer(env, object, data, drop, nullptr, nullptr);
}

}  // namespace moescope::js
