// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/callable.hpp>

#include <stop_token>
#include <string_view>
#include <type_traits>
#include <typeinfo>

namespace rankview::inline abi_0_1 {

namespace detail {

// What compiled code knows how to send.
void publish(std::string_view name, const std::type_info& type, const Writer& value);

}  // namespace detail

/// What a task can ask about itself, and tell. Each of these throws UsageError outside of a task. Threads that a task starts on an engine
/// of its own process may use them too, as long as the task runs.
namespace this_task {

/// Whether the client has given this task up, by AsyncResult::abort() or Client::abort(): what it computes is not wanted any more, and the
/// sooner it returns or throws, the better. Known some milliseconds after the request under `MPI_THREAD_MULTIPLE`; below that, asking is
/// what finds out.
///
/// Cost: an atomic read, below `MPI_THREAD_MULTIPLE` a look for messages. Thread-safe under `MPI_THREAD_MULTIPLE`; below that, for the
/// task's own thread only.
[[nodiscard]] bool stop_requested();

/// The same as a token, for what takes one, a std::stop_callback for example. Callbacks run in a thread of the engine's while the task goes
/// on; below `MPI_THREAD_MULTIPLE` in the task's own, within stop_requested() or publish(), and without those the token learns nothing.
///
/// Cost: an allocation the first time that a task asks. Thread-safe.
[[nodiscard]] std::stop_token stop_token();

/// Tells the client a named value while the task runs: AsyncResult::data() has the last one of each name. Values are what can be sent as
/// results; a string literal becomes a std::string.
///
/// Cost: the value is encoded and copied into a message of its own, whatever its size, about a microsecond where it is short; those that
/// follow within 50 microseconds travel together. Rank 0 keeps the encoded value as long as a handle of the result; where there is none, it
/// drops it. Where several engines run a task together, the value that arrives last stays.
///
/// Thread-safe. Below `MPI_THREAD_MULTIPLE`, what other threads than the task's own publish is sent when that one does, or when the task
/// ends.
template <class T>
void publish(std::string_view name, const T& value) {
  using Stored = typename detail::Travelling<std::decay_t<T>, detail::Deduced>::type;
  detail::Writer out;
  out.flat = true;
  if constexpr (std::is_same_v<Stored, T>) {
    detail::codec<Stored>::save(out, value);
  } else if constexpr (detail::is_view<T>::value) {
    const Stored stored(value.begin(), value.end());
    detail::codec<Stored>::save(out, stored);
  } else {
    const Stored stored(value);
    detail::codec<Stored>::save(out, stored);
  }
  detail::publish(name, typeid(Stored), out);
}

/// Tells how far the task is, as the published value "progress": see TaskData::progress(). Throws UsageError for what is not between 0
/// and 1.
void progress(double fraction);

}  // namespace this_task
}  // namespace rankview
