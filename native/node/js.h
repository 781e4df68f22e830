// Values of JavaScript made with plain Node-API calls. Statuses are not checked here: a call fails only while
// the environment goes down or an interrupt unwinds it, and then nobody reads the value. (node-addon-api
// would abort the process instead.)
#pragma once

#include <node_api.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/error.h"

namespace moescope::js {

inline napi_value undefined(napi_env env) {
  napi_value v = nullptr;
  napi_get_undefined(env, &v);
  return v;
}
inline napi_value number(napi_env env, double x) {
  napi_value v = nullptr;
  napi_create_double(env, x, &v);
  return v;
}
inline napi_value string(napi_env env, const std::string& s) {
  napi_value v = nullptr;
  napi_create_string_utf8(env, s.c_str(), s.size(), &v);
  return v;
}
inline napi_value object(napi_env env) {
  napi_value v = nullptr;
  napi_create_object(env, &v);
  return v;
}
inline void set(napi_env env, napi_value object, const char* key, napi_value value) {
  napi_set_named_property(env, object, key, value);
}
inline void set(napi_env env, napi_value object, const char* key, double x) {
  set(env, object, key, number(env, x));
}
inline void set(napi_env env, napi_value object, const char* key, const std::string& s) {
  set(env, object, key, string(env, s));
}

/** A new array; `make(i)` gives its elements. */
template <class Make>
napi_value array(napi_env env, size_t n, Make make) {
  napi_value v = nullptr;
  napi_create_array_with_length(env, n, &v);
  for (size_t i = 0; i < n; ++i) napi_set_element(env, v, static_cast<uint32_t>(i), make(i));
  return v;
}

/** Int32Array or Float32Array in memory of JavaScript's own. */
template <class T>
napi_value copied(napi_env env, napi_typedarray_type type, const T* data, size_t n) {
  void* to = nullptr;
  napi_value buffer = nullptr, v = nullptr;
  napi_create_arraybuffer(env, n * sizeof(T), &to, &buffer);
  if (to && n > 0) std::memcpy(to, data, n * sizeof(T));
  napi_create_typedarray(env, type, n, buffer, 0, &v);
  return v;
}
inline napi_value int32_array(napi_env env, const std::vector<int32_t>& x) {
  return copied(env, napi_int32_array, x.data(), x.size());
}

/** An Error with `code` and, where it applies, `where`. */
inline napi_value error(napi_env env, const Error& e) {
  napi_value v = nullptr;
  napi_create_error(env, string(env, name(e.code())), string(env, e.what()), &v);
  if (!e.where().empty()) set(env, v, "where", e.where());
  return v;
}

}  // namespace moescope::js
