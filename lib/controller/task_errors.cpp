// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/task_errors.hpp"

#include "controller/call_life.hpp"
#include "wire/error_text.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace rankview::inline abi_0_1::detail {

std::string in_seconds(std::int64_t nanoseconds) {
  return std::to_string(std::chrono::duration<double>(std::chrono::nanoseconds(nanoseconds)).count()) + " s";
}

std::exception_ptr task_error(const Call& call, std::uint64_t item, const controller::EngineInfo& at, int engine,
                              const rankview::wire::Failure& failure, const std::vector<std::string>& earlier) {
  const TaskId task{call.id, item};
  if (failure.kind == rankview::wire::FailureKind::timed_out) return task_timed_out(call, task, engine, earlier);
  TaskPlace place{engine, at.rank, at.host, at.pid, task};
  if (failure.kind == rankview::wire::FailureKind::name)
    return std::make_exception_ptr(NameError(failure.message, std::move(place), earlier));
  if (failure.kind == rankview::wire::FailureKind::type)
    return std::make_exception_ptr(TypeError(failure.message, std::move(place), earlier));
  if (failure.kind == rankview::wire::FailureKind::crashed)
    return std::make_exception_ptr(TaskCrashed(failure.message, failure.signal, failure.exit_status,
                                               static_cast<std::size_t>(failure.peak_memory), std::move(place), earlier));
  return std::make_exception_ptr(RemoteError(std::move(place), failure.type_name, failure.message, earlier));
}

std::exception_ptr task_timed_out(const Call& call, const TaskId& task, int engine, const std::vector<std::string>& earlier) {
  return std::make_exception_ptr(TimeoutError("task " + to_string(task) + " on engine " + std::to_string(engine) +
                                              ": ran for longer than its timeout of " + in_seconds(call.life().terms->timeout) +
                                              rankview::wire::listed(earlier)));
}

ToldError with_text(std::exception_ptr error) {
  if (error == nullptr) return {};
  std::string text = rankview::wire::error_text(error);
  return {std::move(error), std::move(text)};
}

std::exception_ptr keep(Call& call, ToldError&& told) {
  if (told.error == nullptr) return nullptr;
  return call.life().more.edit().told.edit().emplace_back(std::move(told)).error;
}

std::string text_of(const Call& call, const std::exception_ptr& error) {
  const auto& told = *call.life().more->told;
  const auto found = std::find_if(told.rbegin(), told.rend(), [&error](const ToldError& each) { return each.error == error; });
  if (found != told.rend()) return found->text;
  return rankview::wire::error_text(error);
}

std::exception_ptr task_aborted(const TaskId& task, const std::string& why) {
  return std::make_exception_ptr(TaskAborted("task " + to_string(task) + ": " + why));
}

}  // namespace rankview::detail
