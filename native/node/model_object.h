// The model and its states as JavaScript objects, `NativeModel` and `NativeState`.
#pragma once

#include "node/task.h"

namespace moescope {

/** A task whose promise gives the model's object. */
std::shared_ptr<Task> load_task(std::shared_ptr<Dispatch>, std::shared_ptr<Session>, LoadSpec);

}  // namespace moescope
