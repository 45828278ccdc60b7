// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/hub.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace rankview::controller {

// What there is to ask of runs, this one and others before it. From any thread, but not with a lock that a client needs. Throws
// std::runtime_error.
class TaskArchive {
 public:
  using Values = std::vector<Hub::Value>;

  TaskArchive() = default;
  TaskArchive(const TaskArchive&) = delete;
  TaskArchive& operator=(const TaskArchive&) = delete;
  virtual ~TaskArchive() = default;

  // Rows of what has been put down so far. `values`: of the places that the question leaves open.
  virtual Table query(const std::string& sql, const Values& values = {}) = 0;
  // Changes some by several statements that leave the same places open: all, or none.
  virtual void change(const std::vector<std::string>& statements, const Values& values = {}) = 0;
  // The number of this run; 0 if that is not known.
  virtual std::int64_t run() = 0;
};

}  // namespace rankview::controller
