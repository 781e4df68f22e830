// The specs of engine/native.ts read from JavaScript objects. Whatever is not as declared throws `argument`
// with the field's path; nothing here trusts the caller.
#pragma once

#include <node_api.h>

#include <optional>
#include <string>
#include <vector>

#include "model/forward.h"
#include "model/model.h"

namespace moescope {

/** The fields of one object. */
class Fields {
 public:
  Fields(napi_env env, napi_value object, std::string where);

  /** Present, and neither undefined nor null. */
  bool has(const char* key) const;
  int64_t integer(const char* key, int64_t least, int64_t most) const;
  double number(const char* key) const;
  bool boolean(const char* key) const;
  std::string text(const char* key) const;
  std::vector<std::string> texts(const char* key) const;
  std::vector<int32_t> ints(const char* key) const;
  std::vector<float> floats(const char* key) const;
  std::vector<double> doubles(const char* key) const;
  std::vector<uint8_t> bytes(const char* key) const;
  Fields fields(const char* key) const;
  std::vector<Fields> list(const char* key) const;
  std::optional<std::vector<int32_t>> optional_ints(const char* key) const;

  std::string path(const char* key) const { return where_.empty() ? key : where_ + "." + key; }

 private:
  napi_value get(const char* key) const;
  template <class T>
  std::vector<T> typed(const char* key, napi_typedarray_type type, const char* type_name) const;

  napi_env env_;
  napi_value object_;
  std::string where_;
};

LoadSpec read_load_spec(const Fields&);
Config read_config(const Fields&);
/** Forward or, with `generate`, generation. */
RunSpec read_run_spec(const Fields&, bool generate);

}  // namespace moescope
