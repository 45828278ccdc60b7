// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/reference.hpp>
#include <rankview/variables.hpp>

#include <functional>
#include <type_traits>
#include <utility>

/// What a task can ask about the engine that runs it. Each of these throws UsageError outside of a task. Threads that a task starts on
/// an engine of its own process may ask too.
namespace rankview::inline abi_0_1::this_engine {

/// The engine's number: 0 for rank 1, and so on.
[[nodiscard]] int id();

/// How many engines the cluster has.
[[nodiscard]] int size();

/// The engine's variables: what `push` and `scatter` store, `pull` and `gather` read and `rv::ref` binds to. They live as long as the
/// cluster.
///
/// Not synchronised: tasks of one engine run one after the other, so only a task's own threads have to take care.
[[nodiscard]] Variables& vars();

}  // namespace rankview::this_engine

namespace rankview::inline abi_0_1 {

template <class T>
template <class... A>
auto Reference<T>::operator()(A&&... arguments) const -> std::invoke_result_t<std::add_lvalue_reference_t<std::decay_t<T>>, A...> {
  return std::invoke(this_engine::vars().get<std::decay_t<T>>(name), std::forward<A>(arguments)...);
}

}  // namespace rankview
