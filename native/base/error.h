// Errors that cross the border to JavaScript: a code for programs, a place, a sentence for people.
#pragma once

#include <exception>
#include <string>
#include <utility>

namespace moescope {

/** The codes of `NativeErrorCode` in engine/native.ts, in its order. */
enum class Code { cancelled, released, memory, budget, file, nonfinite, argument, device, lost, internal };

const char* name(Code);

class Error : public std::exception {
 public:
  Error(Code code, std::string where, std::string what)
      : code_(code), where_(std::move(where)), what_(std::move(what)) {}
  const char* what() const noexcept override { return what_.c_str(); }
  Code code() const { return code_; }
  const std::string& where() const { return where_; }

 private:
  Code code_;
  std::string where_;
  std::string what_;
};

[[noreturn]] inline void fail(Code code, std::string where, std::string what) {
  throw Error(code, std::move(where), std::move(what));
}

}  // namespace moescope
