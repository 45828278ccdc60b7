// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/callable.hpp>
#include <rankview/detail/kept_result.hpp>
#include <rankview/task_id.hpp>
#include <rankview/variables.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <string_view>
#include <typeinfo>
#include <vector>

namespace rankview::engine {

// What a task can ask of where it runs: an engine, or a process that an engine had made for it.
class TaskHost {
 public:
  TaskHost() = default;
  TaskHost(const TaskHost&) = delete;
  TaskHost& operator=(const TaskHost&) = delete;
  virtual ~TaskHost() = default;

  [[nodiscard]] virtual int id() const = 0;    // of the engine
  [[nodiscard]] virtual int size() const = 0;  // how many engines there are
  virtual Variables& variables() = 0;
  // The task that runs, or ran last; 0.0 if there is none. Safe in a signal handler.
  [[nodiscard]] virtual TaskId running() const = 0;

  // Whether the running task has been given up. For the task's threads.
  [[nodiscard]] virtual bool stop_requested() = 0;
  // The same as a token, on which callbacks can be set.
  [[nodiscard]] virtual std::stop_token stop_token() = 0;
  // Tells rank 0 a value of the running task. For the task's threads.
  virtual void publish(std::string_view name, const char* type, std::span<const std::byte> value) = 0;

  // For the task's own thread: submits a task, waits for it while it runs others, and forgets it.
  virtual std::uint64_t submit(const detail::Function& function, std::span<const std::byte> arguments, std::size_t stride) = 0;
  [[nodiscard]] virtual bool answered(std::uint64_t ticket) = 0;
  virtual std::vector<std::byte> await(std::uint64_t ticket) = 0;
  virtual void forget(std::uint64_t ticket) = 0;

  // The long result of a call that was made here, if it is still there and of that type, or null. For the task's own thread.
  [[nodiscard]] virtual std::shared_ptr<const void> cached(std::uint64_t call, const std::type_info& type) const = 0;
  // What another engine delivers under a ticket of the running task's; waits for it. For the task's own thread.
  virtual std::unique_ptr<detail::Delivered> take_delivery(std::uint64_t ticket) = 0;

  // Whether the calling thread is the one that runs tasks.
  [[nodiscard]] virtual bool on_own_thread() const = 0;
  // For a child that the task has forked: it must not come back.
  virtual void withhold() = 0;
};

}  // namespace rankview::engine
