// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/rankview.hpp>

// What two translation units, each with the whole of rankview, make of the same things.
namespace linked {

inline double shared_function(double number) { return number + 1; }

inline constexpr auto lambda = [](int number) { return 2 * number; };

struct Seen {
  const rankview::detail::Thunk* of_function;
  const rankview::detail::Thunk* of_lambda;
  const rankview::All* all;
};

Seen seen_first();
Seen seen_second();

template <class F, class A>
const rankview::detail::Thunk* thunk_of(F function, A) {
  using Sig = typename rankview::detail::Signature<F, A>::type;
  return rankview::detail::function_for<Sig>(function).thunk;
}

}  // namespace linked
