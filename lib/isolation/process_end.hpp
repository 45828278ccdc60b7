// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "isolation/forker.hpp"

#include <sys/types.h>
#include <cstdint>
#include <optional>

namespace rankview::isolation {

// In a child that has just been forked: the leader of a group that ends with its parent, without input, whose stderr goes to `errors`, and
// whose stdout to `output`, line by line, unless that is -1.
void become_child(int errors, int output);

// Whether it is a child of this process, running or not, for which nobody has waited.
bool is_child(pid_t child);

// How a child of this process that leads a group ended, nothing while it runs. What is left of the group is killed before the child's
// number can be another's.
std::optional<ChildEnd> end_of(pid_t child);

// What the process and its descendants have of memory that is theirs alone, in bytes.
std::uint64_t memory_of(pid_t process);

}  // namespace rankview::isolation
