#include <cmath>

#include "base/error.h"
#include "node/arguments.h"

namespace moescope {
namespace {

std::string read_text(napi_env env, napi_value v, const std::string& where) {
  size_t n = 0;
  if (napi_get_value_string_utf8(env, v, nullptr, 0, &n) != napi_ok)
    fail(Code::argument, where, "is not a string");
  std::string s(n + 1, '\0');
  napi_get_value_string_utf8(env, v, s.data(), n + 1, &n);
  s.resize(n);
  return s;
}

}  // namespace

Fields::Fields(napi_env env, napi_value object, std::string where)
    : env_(env), object_(object), where_(std::move(where)) {
  napi_valuetype type = napi_undefined;
  if (!object || napi_typeof(env, object, &type) != napi_ok || type != napi_object)
    fail(Code::argument, where_, "is not an object");
}

napi_value Fields::get(const char* key) const {
  napi_value v = nullptr;
  if (napi_get_named_property(env_, object_, key, &v) != napi_ok)
    fail(Code::argument, path(key), "cannot be read");
  return v;
}

bool Fields::has(const char* key) const {
  napi_valuetype type = napi_undefined;
  napi_typeof(env_, get(key), &type);
  return type != napi_undefined && type != napi_null;
}

double Fields::number(const char* key) const {
  double x = 0;
  if (napi_get_value_double(env_, get(key), &x) != napi_ok)
    fail(Code::argument, path(key), "is not a number");
  return x;
}

int64_t Fields::integer(const char* key, int64_t least, int64_t most) const {
  const double x = number(key);
  if (!(x >= static_cast<double>(least) && x <= static_cast<double>(most)) || x != std::floor(x))
    fail(Code::argument, path(key),
         "is not an integer from " + std::to_string(least) + " to " + std::to_string(most));
  return static_cast<int64_t>(x);
}

bool Fields::boolean(const char* key) const {
  bool x = false;
  if (napi_get_value_bool(env_, get(key), &x) != napi_ok) fail(Code::argument, path(key), "is not a boolean");
  return x;
}

std::string Fields::text(const char* key) const { return read_text(env_, get(key), path(key)); }

std::vector<std::string> Fields::texts(const char* key) const {
  const napi_value array = get(key);
  uint32_t n = 0;
  if (napi_get_array_length(env_, array, &n) != napi_ok) fail(Code::argument, path(key), "is not an array");
  std::vector<std::string> out;
  for (uint32_t i = 0; i < n; ++i) {
    napi_value v = nullptr;
    napi_get_element(env_, array, i, &v);
    out.push_back(read_text(env_, v, path(key) + "[" + std::to_string(i) + "]"));
  }
  return out;
}

Fields Fields::fields(const char* key) const { return Fields(env_, get(key), path(key)); }

std::vector<Fields> Fields::list(const char* key) const {
  const napi_value array = get(key);
  uint32_t n = 0;
  if (napi_get_array_length(env_, array, &n) != napi_ok) fail(Code::argument, path(key), "is not an array");
  std::vector<Fields> out;
  out.reserve(n);
  for (uint32_t i = 0; i < n; ++i) {
    napi_value v = nullptr;
    napi_get_element(env_, array, i, &v);
    out.emplace_back(env_, v, path(key) + "[" + std::to_string(i) + "]");
  }
  return out;
}

template <class T>
std::vector<T> Fields::typed(const char* key, napi_typedarray_type wanted, const char* type_name) const {
  napi_typedarray_type type;
  size_t n = 0;
  void* data = nullptr;
  const napi_value v = get(key);
  bool is = false;
  napi_is_typedarray(env_, v, &is);
  if (!is || napi_get_typedarray_info(env_, v, &type, &n, &data, nullptr, nullptr) != napi_ok ||
      type != wanted)
    fail(Code::argument, path(key), std::string("is not a ") + type_name);
  const T* from = static_cast<const T*>(data);
  return n == 0 ? std::vector<T>() : std::vector<T>(from, from + n);
}

std::vector<int32_t> Fields::ints(const char* key) const {
  return typed<int32_t>(key, napi_int32_array, "Int32Array");
}
std::vector<float> Fields::floats(const char* key) const {
  return typed<float>(key, napi_float32_array, "Float32Array");
}
std::vector<double> Fields::doubles(const char* key) const {
  return typed<double>(key, napi_float64_array, "Float64Array");
}
std::vector<uint8_t> Fields::bytes(const char* key) const {
  return typed<uint8_t>(key, napi_uint8_array, "Uint8Array");
}
std::optional<std::vector<int32_t>> Fields::optional_ints(const char* key) const {
  if (!has(key)) return std::nullopt;
  return ints(key);
}

}  // namespace moescope
