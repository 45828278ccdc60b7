// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/engines.hpp"
#include "wire/messages.hpp"

#include <rankview/detail/call.hpp>

#include <cstdint>
#include <exception>
#include <memory>

// Tasks that tasks submit: calls of one item whose result goes back to an engine.
namespace rankview::controller {

// The call for what a task of `parent`, on `engine`, has submitted, but for its arguments. Throws DecodeError if its code is not known
// here.
std::shared_ptr<detail::Call> make_subtask(const detail::Call& parent, int engine, const wire::Subtask& subtask);
// Its arguments.
detail::ArgumentBlock arguments_of(const wire::Subtask& subtask);

// The task that has submitted a subtask.
TaskId submitter_of(const detail::Call& subtask);
// Tells the engine that submitted it how a subtask ended.
void answer_subtask(Engines& engines, const detail::Call& subtask);
// The same for one that never became a call.
void refuse_subtask(Engines& engines, int engine, std::uint64_t ticket, const std::exception_ptr& error);

}  // namespace rankview::controller
