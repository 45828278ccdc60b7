// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/view.hpp>
#include <rankview/hub.hpp>
#include <rankview/when_all.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

// Tasks that the database has, also of earlier runs.
namespace rankview::inline abi_0_1::detail {

// A task of a run that the database knows under that number; 0 for this one.
struct TaskOfRun {
  std::int64_t run = 0;
  TaskId task;
};
std::vector<TaskOfRun> of_run(std::int64_t run, const std::vector<TaskId>& tasks);
std::vector<TaskOfRun> of_records(const std::vector<TaskRecord>& records);

// All of these throw UsageError where there is no database. Those of a run: 0 for this one.
std::vector<CallRecord> history(Controller& controller, std::int64_t run);
std::vector<TaskRecord> find_tasks(Controller& controller, const TaskQuery& query);
void purge(Controller& controller, const std::vector<TaskOfRun>& tasks);
void purge_run(Controller& controller, std::int64_t run);
void purge_before(Controller& controller, Metadata::Time time);

// The result of a task as bytes, written flat. Waits for it, if it is of this run. Throws how it failed, TypeError if it is of another
// type, UsageError if it is not there.
std::string find_result(Controller& controller, const TaskOfRun& task, const std::type_info& type);
// Throws why that cannot be read, from within the catch.
[[noreturn]] void throw_unreadable(const TaskOfRun& task, const std::type_info& type);

template <class T>
T get_result(Controller& controller, const TaskOfRun& task) {
  const std::string bytes = find_result(controller, task, typeid(T));
  if constexpr (!std::is_void_v<T>) {
    try {
      Reader in({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()}, Flat());
      T value = codec<T>::load(in);
      if (in.done()) return value;
      throw DecodeError("it is longer than such a value");
    } catch (...) {
      throw_unreadable(task, typeid(T));
    }
  }
}

// Tasks that one call runs again: of one call, and of one engine if that was a direct one.
struct Again {
  // As the database keeps them.
  std::vector<std::shared_ptr<const std::string>> arguments;
  std::vector<std::size_t> places;  // among all that are asked for
  Function function;
  std::vector<int> engines;  // one of these, or any
  std::string label;
  Flags flags;
};
// Throws TypeError if their results are of another type, UsageError if they cannot be run, EngineError if their engine has died.
std::vector<Again> find_again(Controller& controller, const std::vector<TaskOfRun>& tasks, const std::type_info& type, const Flags& flags);
void submit_again(const std::shared_ptr<Call>& call, const Again& tasks);
[[noreturn]] void throw_not_together();

template <class T>
AsyncResult<many_t<T>> resubmit(const std::shared_ptr<Controller>& controller, const std::vector<TaskOfRun>& tasks, const Flags& flags) {
  check_open(*controller);
  const std::vector<Again> all = find_again(*controller, tasks, typeid(T), flags);
  std::vector<AsyncResult<many_t<T>>> results;
  for (const Again& some : all) {
    auto call = make_call<Results<T>>();
    call->controller = controller;
    call->multiple = true;
    call->composite = true;
    submit_again(call, some);
    results.emplace_back(call);
  }
  if (results.size() == 1) return std::move(results.front());
  if constexpr (std::is_void_v<T>) {
    return when_all(std::move(results));
  } else if constexpr (!std::is_copy_constructible_v<T>) {
    if (!results.empty()) throw_not_together();
    return when_all(std::vector<AsyncResult<T>>());
  } else {
    if (results.empty()) return when_all(std::vector<AsyncResult<T>>());
    std::vector<std::pair<std::size_t, std::size_t>> from(tasks.size());  // for each place, which of them has it, and where
    for (std::size_t i = 0; i < all.size(); ++i) {
      for (std::size_t k = 0; k < all[i].places.size(); ++k) from[all[i].places[k]] = {i, k};
    }
    return when_all(std::move(results)).then([from = std::move(from)](const std::vector<std::vector<T>>& parts) {
      std::vector<T> values;
      values.reserve(from.size());
      for (const auto& [part, place] : from) values.push_back(parts[part][place]);
      return values;
    });
  }
}

}  // namespace rankview::detail
