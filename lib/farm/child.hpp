// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "farm/interpreter.hpp"
#include "isolation/fd.hpp"

#include <sys/types.h>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rankview::farm {

// The environment that commands get: that of this process, without what mpirun has put there, which would have a command that is itself an
// MPI program take itself for part of this one. What users tell Open MPI stays.
class ChildEnvironment {
 public:
  ChildEnvironment();
  // Replaces what there is of that name. Pointers that were given out are not valid any more.
  void set(std::string_view name, std::string_view value);
  // As it was when this was made.
  void restore(std::string_view name);
  // For the system. Valid until the next set().
  [[nodiscard]] char* const* pointers();

 private:
  std::vector<std::string>::iterator find(std::string_view name);

  std::vector<std::string> entries_;
  std::vector<char*> pointers_;
};

// Where the streams of a child go; its stdin is /dev/null.
struct Streams {
  int out = 1;
  int err = 2;
};

// A command that runs, as the leader of a process group of its own.
class Child {
 public:
  // Throws std::system_error if it cannot be started. All signals are as by default, and no other descriptors are open.
  Child(const Invocation& invocation, char* const* environment, Streams streams);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  // Kills it, and waits for it, if nobody has.
  ~Child();

  [[nodiscard]] pid_t process() const { return process_; }
  // What becomes readable when it has ended.
  [[nodiscard]] int events() const { return events_.get(); }
  // To it and what it has started, if that has stayed in its group.
  void send(int signal) const;
  // Waits for it; the status as waitpid() has it. `whole_group`: what is left of its group is killed.
  int reap(bool whole_group);

 private:
  pid_t process_ = 0;
  bool reaped_ = false;
  isolation::Fd events_;
};

}  // namespace rankview::farm
