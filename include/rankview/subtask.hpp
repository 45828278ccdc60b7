// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/misuse.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace rankview::inline abi_0_1 {

namespace detail {

std::uint64_t submit_subtask(const Function& function, const Writer& arguments, std::size_t stride);
bool subtask_ready(std::uint64_t ticket);
std::vector<std::byte> await_subtask(std::uint64_t ticket);
void forget_subtask(std::uint64_t ticket) noexcept;

}  // namespace detail

/// The result of a task that a task has submitted, with this_task::submit(). For the thread that runs the task, while it runs. Move-only;
/// a result that nobody takes is dropped.
template <class T>
class [[nodiscard]] Subtask {
 public:
  explicit Subtask(std::uint64_t ticket) : ticket_(ticket) {}
  Subtask(Subtask&& other) noexcept : ticket_(std::exchange(other.ticket_, 0)) {}
  Subtask& operator=(Subtask&& other) noexcept {
    std::swap(ticket_, other.ticket_);
    return *this;
  }
  ~Subtask() {
    if (ticket_ != 0) detail::forget_subtask(ticket_);
  }

  /// Waits for the task and returns its value, once. Throws RemoteError if it failed, with the type and message of what it threw; also if
  /// it was given up. While it waits, the engine runs other tasks, which may change the engine's variables.
  T get() {
    if (ticket_ == 0) throw UsageError("this Subtask is empty: its value was taken, or it was moved from");
    const Subtask ended = std::move(*this);
    const std::vector<std::byte> bytes = detail::await_subtask(ended.ticket_);
    if constexpr (!std::is_void_v<T>) {
      detail::Reader in(bytes, detail::Flat());
      return detail::codec<T>::load(in);
    }
  }
  /// Whether get() would not wait.
  [[nodiscard]] bool ready() const { return detail::subtask_ready(ticket_); }

 private:
  std::uint64_t ticket_;
};

namespace this_task {

/// Submits `f(arguments...)` from within a task, as a load-balanced view's apply() does; it runs on any of the engines that may run the
/// task itself, before what has not that task's priority. Wait for it with Subtask::get(): the engine runs other tasks meanwhile, so that
/// tasks may fork and join as deep as the stack allows. A task need not wait for what it has submitted.
///
/// Cost: a message to rank 0, one from there to an engine, and as many back; arguments and results are copied whatever their size, and
/// go through rank 0. For the task's own thread; throws UsageError elsewhere.
template <class... A, class F = detail::callable_t<A...>>
auto submit(F f, const A&... arguments) {
  using M = detail::Made<F, A...>;
  static_assert(!detail::takes_communicator<F>, "rankview: a task that a task submits runs on one engine");
  if constexpr (!M::accepted) {
    return detail::Refused();
  } else {
    using Sig = typename M::Sig;
    detail::Function function = detail::function_for<Sig>(f);
    detail::Writer encoded;
    encoded.flat = true;
    detail::save_arguments(Sig(), encoded, detail::Lifetime::call, arguments...);
    return Subtask<typename M::Result>(detail::submit_subtask(function, encoded, detail::item_size<Sig>));
  }
}

}  // namespace this_task
}  // namespace rankview
