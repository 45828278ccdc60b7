// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/engines.hpp"
#include "controller/uncommon.hpp"
#include "wire/messages.hpp"

#include <rankview/detail/call.hpp>

#include <cstdint>
#include <exception>
#include <string>
#include <vector>

// Why tasks fail, as the client is told. `earlier`: how attempts before the last one failed.
namespace rankview::inline abi_0_1::detail {

// As an engine describes it.
std::exception_ptr task_error(const Call& call, std::uint64_t item, const controller::EngineInfo& at, int engine,
                              const rankview::wire::Failure& failure, const std::vector<std::string>& earlier);
std::exception_ptr task_timed_out(const Call& call, const TaskId& task, int engine, const std::vector<std::string>& earlier);
std::exception_ptr task_aborted(const TaskId& task, const std::string& why);

// What the program's own code throws may be of a class of the program's, whose what() and destructor are its code as well. So it is asked
// once, without the controller's lock, and the call keeps both.
ToldError with_text(std::exception_ptr error);
// The same with the lock: the call has that error from here on. Gives it.
std::exception_ptr keep(Call& call, ToldError&& told);
// What an error of the call says. With the lock.
std::string text_of(const Call& call, const std::exception_ptr& error);

// "1.5 s"
std::string in_seconds(std::int64_t nanoseconds);

}  // namespace rankview::detail
