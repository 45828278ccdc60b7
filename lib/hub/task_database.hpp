// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/task_archive.hpp"
#include "hub/events.hpp"

#include <cstddef>
#include <string>

namespace rankview::hub {

// Gives the name under which the linker knows a function or constant of this process, or nothing. Thread-safe.
using NameOf = std::string (*)(const void*);

// The database of tasks. What implements it lies in a module of its own, so that programs that have none link none: both know nothing of
// each other but this, and what the module throws is of the standard library's types. Behind its end all is on disk that could be written.
class TaskDatabase : public controller::TaskArchive {
 public:
  // Puts it down to be written soon; waits for nothing. `tasks`: what it says of so many may be left out, if there is too much.
  virtual void add(Event event, std::size_t tasks) = 0;
  // Waits until all that has been put down by now is written, or could not be.
  virtual void flush() = 0;
};

}  // namespace rankview::hub
