#include "backend/cuda/context.h"

#include "base/error.h"

namespace moescope {

DeviceContext& DeviceContext::instance() {
  static DeviceContext context;
  return context;
}

void DeviceContext::check() const {
  if (!lost()) return;
  std::string where;
  {
    const std::lock_guard lock(mutex_);
    where = where_;
  }
  fail(Code::lost, where, text());
}

void DeviceContext::lose(std::string where, std::string what) {
  const std::lock_guard lock(mutex_);
  if (lost_) return;
  where_ = std::move(where);
  what_ = std::move(what);
  lost_.store(true, std::memory_order_release);
}

std::string DeviceContext::text() const {
  const std::lock_guard lock(mutex_);
  return what_ + ", told first in " + where_ +
         " (the device tells late: the fault is there or before it); the device context of this process is "
         "lost, "
         "and with it every model on the GPU, while runs, tables and tensors already made stay readable";
}

}  // namespace moescope
