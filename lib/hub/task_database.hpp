// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "hub/events.hpp"

#include <rankview/hub.hpp>

#include <cstddef>
#include <string>

namespace rankview::hub {

// The database of tasks. What implements it lies in a module of its own, so that programs that have none link none: both know nothing of
// each other but this, and what the module throws is of the standard library's types.
class TaskDatabase {
 public:
  TaskDatabase() = default;
  TaskDatabase(const TaskDatabase&) = delete;
  TaskDatabase& operator=(const TaskDatabase&) = delete;
  // Behind this all is on disk that could be written.
  virtual ~TaskDatabase() = default;

  // Puts it down to be written soon; waits for nothing. `tasks`: what it says of so many may be left out, if there is too much.
  virtual void add(Event event, std::size_t tasks) = 0;
  // Waits until all that has been put down by now is written, or could not be.
  virtual void flush() = 0;
  // Rows of what has been put down so far, also of earlier runs. From any thread, but not with a lock that a client needs. Throws
  // std::runtime_error.
  virtual Table query(const std::string& sql) = 0;
};

}  // namespace rankview::hub
