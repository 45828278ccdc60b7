// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/task_archive.hpp"

#include <rankview/detail/call.hpp>
#include <rankview/hub.hpp>
#include <rankview/task_id.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// What is looked up in the database of tasks for the client. Throws UsageError where there is none.
namespace rankview::controller {

Table ask(detail::Controller& controller, const std::string& sql, const TaskArchive::Values& values = {});
// The run itself, or this one for 0.
std::int64_t number_of_run(detail::Controller& controller, std::int64_t run);
// As errors name a task.
std::string shown(std::int64_t run, const TaskId& task);
// A number that was asked for; 0 for nothing.
std::int64_t number_in(const std::optional<std::string>& cell);
// The numbers with commas between them, some hundreds to a text.
std::vector<std::string> lists_of(const std::vector<std::uint64_t>& items);

}  // namespace rankview::controller
