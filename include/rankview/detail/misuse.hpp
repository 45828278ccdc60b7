// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/callable.hpp>

#include <mpi.h>
#include <concepts>
#include <functional>
#include <type_traits>

namespace rankview::inline abi_0_1 {
class Client;
class EngineView;
class DirectView;
class LoadBalancedView;
class TeamView;
template <class T>
class Subtask;
template <class R, bool in_order>
class ImapRange;
}  // namespace rankview

// What the compiler says to a call that cannot be made. A verb asks first whether its call is accepted and does nothing if not, so that
// the one sentence that is asserted here is all there is to read.
namespace rankview::inline abi_0_1::detail {

template <class View>
class Subscript;

template <class...>
inline constexpr bool never = false;

// The result of a call that was not accepted: it fits wherever the value would.
struct Refused {
  template <class T>
  operator T() const;
  Refused get() const;
  void wait() const;
  const Refused* begin() const;
  const Refused* end() const;
};

// Default template arguments: what is used where nothing can be deduced, and says so. `Call` makes them depend on the call.
template <class... Call>
struct NoCallable {
  using type = Refused;
  static_assert(never<Call...>,
                "rankview: the name of an overloaded function or of a template says no type; wrap the call in a lambda, as in "
                "[](double x) { return std::sqrt(x); }");
};
template <class... Call>
using callable_t = typename NoCallable<Call...>::type;

template <class... Call>
struct NoValue {
  using type = Refused;
  static_assert(never<Call...>, "rankview: braces alone say no type; write it, as in view[\"x\"] = std::vector{1.0, 2.0}");
};
template <class... Call>
using value_t = typename NoValue<Call...>::type;

// The type of an engine's variable that was not said.
struct Unsaid {};
template <class T>
struct Said {
  using type = T;
};
template <std::same_as<Unsaid> T>
struct Said<T> {
  using type = Refused;
  static_assert(never<T>,
                "rankview: rank 0 does not know of what type an engine's variable is; say it, as in pull<double>(\"x\"), "
                "gather<double>(\"x\"), reduce<double>(\"x\", op) or view[\"x\"].get<double>()");
};
template <class T>
using said_t = typename Said<T>::type;

// ---- the callable -----------------------------------------------------------------------------------------------------------

template <class F>
struct is_std_function : std::false_type {};
template <class S>
struct is_std_function<std::function<S>> : std::true_type {};
template <class F>
struct is_reference_wrapper : std::false_type {};
template <class T>
struct is_reference_wrapper<std::reference_wrapper<T>> : std::true_type {};

// Whether a class has any operator(): one of the same name in another base would make it ambiguous.
struct AnyCall {
  void operator()();
};
template <class F>
struct WithAnyCall : F, AnyCall {};
template <class F>
consteval bool has_call_operator() {
  if constexpr (std::is_final_v<F> || !std::is_class_v<F>) {
    return std::is_class_v<F>;
  } else {
    return !requires { &WithAnyCall<F>::operator(); };
  }
}

template <class F>
consteval bool accepts_callable() {
  if constexpr (std::is_same_v<F, Refused>) {
    return false;  // callable_t has said it
  } else if constexpr (std::is_member_pointer_v<F>) {
    static_assert(never<F>, "rankview: a pointer to member cannot be sent to an engine; wrap the call in a lambda");
  } else if constexpr (is_std_function<F>::value) {
    static_assert(never<F>,
                  "rankview: a std::function can hold anything, and cannot be sent to an engine; pass a function or a lambda without "
                  "captures as it is, and values as arguments");
  } else if constexpr (std::is_bind_expression_v<F>) {
    static_assert(never<F>,
                  "rankview: what std::bind() makes cannot be sent to an engine; write a lambda without captures, and pass the bound "
                  "values as arguments");
  } else if constexpr (is_reference_wrapper<F>::value) {
    static_assert(never<F>, "rankview: std::ref() of a callable is an address in this process; pass the callable itself");
  } else if constexpr (std::is_same_v<F, Reference<>>) {
    static_assert(never<F>,
                  "rankview: a callable that is an engine's variable needs its type; write rv::ref<double (*)(double)>(\"f\"), or the type "
                  "of the function object");
  } else if constexpr (is_reference<F>::value) {
    return true;
  } else if constexpr (!is_function<F> && (!std::is_class_v<F> || (has_state<F> && !has_call_operator<F>()))) {
    static_assert(never<F>, "rankview: this is not callable; pass a function, a lambda without captures or a function object");
  } else if constexpr (is_by_value<F>::value) {
    return std::is_trivially_copyable_v<F>;  // by_value() has said it
  } else if constexpr (has_state<F> && !SerialisesItself<F>) {
    static_assert(
        never<F>,
        "rankview: this callable has captures (or data members), which do not travel by themselves; pass the values as arguments, "
        "wrap the lambda in rv::by_value(...) if copying its bytes is right, or give the function object a serialize() member");
  } else {
    return true;
  }
  return false;
}

// ---- arguments --------------------------------------------------------------------------------------------------------------

template <class T>
inline constexpr bool is_communicator = std::is_same_v<T, boost::mpi::communicator> || std::is_same_v<T, boost::mpi::communicator*> ||
                                        std::is_same_v<T, const boost::mpi::communicator*> ||
                                        (std::is_pointer_v<MPI_Comm> && std::is_same_v<T, MPI_Comm>);

// What means something on rank 0 alone.
template <class T>
inline constexpr bool stays_on_root = std::is_same_v<T, Client> || std::is_same_v<T, EngineView> || std::is_same_v<T, DirectView> ||
                                      std::is_same_v<T, LoadBalancedView> || std::is_same_v<T, TeamView>;
template <class R, bool in_order>
inline constexpr bool stays_on_root<ImapRange<R, in_order>> = true;
template <class T>
inline constexpr bool stays_on_root<T*> = stays_on_root<std::remove_const_t<T>>;

template <class T>
struct is_subscript : std::false_type {};
template <class View>
struct is_subscript<Subscript<View>> : std::true_type {};
template <class T>
struct is_subtask : std::false_type {};
template <class T>
struct is_subtask<rankview::Subtask<T>> : std::true_type {};

template <class T>
inline constexpr bool is_raw_pointer = std::is_pointer_v<T> && !is_function<T>;

// What an argument gives to the parameter.
template <class A>
struct given {
  using type = A;
};
template <class T>
struct given<AsyncResult<T>> {
  using type = T;
};

// Of an argument without regard to its parameter.
template <class A>
consteval bool accepts_argument() {
  if constexpr (is_communicator<A>) {
    static_assert(never<A>,
                  "rankview: a communicator does not travel; a callable whose first parameter is a const boost::mpi::communicator& gets "
                  "one of the engines that run it together, without an argument");
  } else if constexpr (stays_on_root<A>) {
    static_assert(never<A>,
                  "rankview: the client and its views live on rank 0 and cannot be sent to a task; a task has rv::this_engine, and "
                  "rv::this_task::submit() for tasks of its own");
  } else if constexpr (is_subscript<A>::value) {
    static_assert(never<A>,
                  "rankview: view[\"x\"] is a handle on rank 0; pass rv::ref(\"x\") for the variable of the engine that runs the task, or "
                  "view[\"x\"].get<T>() for its value");
  } else if constexpr (is_subtask<A>::value) {
    static_assert(never<A>, "rankview: a Subtask belongs to the task that submitted it; pass its value, get()");
  } else if constexpr (std::is_same_v<A, AsyncResult<void>>) {
    static_assert(never<A>, "rankview: a result without a value cannot be an argument; use view.with({.after = result})");
  } else {
    return true;
  }
  return false;
}

// Of a parameter without regard to what is given for it.
template <class P>
consteval bool accepts_parameter() {
  using Plain = std::remove_cvref_t<P>;
  if constexpr (is_communicator<Plain>) {
    static_assert(never<P>,
                  "rankview: the communicator of the engines that run a callable together is its first parameter, and a const "
                  "boost::mpi::communicator&: neither an MPI_Comm, to which it converts, nor by value");
  } else if constexpr (stays_on_root<Plain>) {
    static_assert(never<P>,
                  "rankview: the client and its views live on rank 0 and cannot be sent to a task; a task has rv::this_engine, and "
                  "rv::this_task::submit() for tasks of its own");
  } else {
    return true;
  }
  return false;
}

template <class A, class P>
consteval bool accepts_pair() {
  using Given = typename given<A>::type;
  using Owner = owner_t<P>;
  if constexpr (!accepts_argument<A>()) {
    return false;
  } else if constexpr (is_reference<A>::value) {
    return true;
  } else if constexpr (is_raw_pointer<Owner> || (is_raw_pointer<Given> && std::is_arithmetic_v<Owner>)) {
    static_assert(never<A>,
                  "rankview: a raw pointer means nothing in another process; pass the value, a container, or rv::ref(\"name\") for data "
                  "that lives on the engine");
  } else if constexpr (!std::is_convertible_v<const Given&, Owner> && !std::is_convertible_v<Given, Owner> &&
                       !std::is_same_v<owner_t<Given>, Owner>) {
    static_assert(never<A>, "rankview: an argument cannot be converted to the callable's parameter");
  } else if constexpr (std::is_lvalue_reference_v<P> && !std::is_const_v<std::remove_reference_t<P>>) {
    static_assert(never<A>,
                  "rankview: the callable takes this argument by non-const reference, so what it changes would be lost on the engine; "
                  "pass rv::ref(\"name\") to change an engine's variable, or take it by value or const reference");
  } else {
    return true;
  }
  return false;
}

// For a callable whose parameters say no type.
template <class A>
consteval bool accepts_generic() {
  if constexpr (!accepts_argument<A>()) {
    return false;
  } else if constexpr (std::is_same_v<A, Reference<void>>) {
    static_assert(never<A>,
                  "rankview: the parameters of a generic callable say no type; write rv::ref<T>(\"name\") instead of rv::ref(\"name\")");
  } else if constexpr (is_raw_pointer<wire_t<A, Deduced>>) {
    static_assert(never<A>,
                  "rankview: a raw pointer means nothing in another process; pass the value, a container, or rv::ref(\"name\") for data "
                  "that lives on the engine");
  } else {
    return true;
  }
  return false;
}

template <class F, class... A, class... P>
consteval bool accepts_arguments(Parameters<P...>) {
  if constexpr (!(accepts_parameter<P>() && ...) || !(accepts_argument<A>() && ...)) {
    return false;
  } else if constexpr (sizeof...(P) != sizeof...(A)) {
    static_assert(never<F>, "rankview: the callable takes another number of arguments than were given");
    return false;
  } else {
    return (accepts_pair<A, P>() && ...);
  }
}

template <class F, class... A>
consteval bool accepts_arguments() {
  if constexpr (parameters_of<F>::known) {
    return accepts_arguments<F, A...>(typename without_communicator<typename parameters_of<F>::type>::type());
  } else {
    return (accepts_generic<A>() && ...);
  }
}

// ---- the call ---------------------------------------------------------------------------------------------------------------

template <class Target, class F, class... Arguments>
consteval bool can_be_called() {
  if constexpr (takes_communicator<F>) {
    return std::is_invocable_v<Target, const boost::mpi::communicator&, Arguments...>;
  } else {
    return std::is_invocable_v<Target, Arguments...>;
  }
}

template <class F>
struct unwrapped {
  using type = F;
};
template <class F>
struct unwrapped<ByValue<F>> {
  using type = F;
};

template <class F, class... W, class... P>
consteval bool accepts_call(Parameters<std::pair<W, P>...>) {
  if constexpr (can_be_called<std::conditional_t<is_function<F>, F, const F&>, F, typename Seen<W, P>::type...>()) {
    return true;
  } else if constexpr (can_be_called<typename unwrapped<F>::type&, F, typename Seen<W, P>::type...>()) {
    static_assert(never<F>,
                  "rankview: the callable must be callable as const (a lambda without mutable): what it changes of itself would be lost");
  } else if constexpr (!parameters_of<F>::known && can_be_called<F&, F, std::remove_cvref_t<typename Seen<W, P>::type>&...>()) {
    static_assert(never<F>,
                  "rankview: the callable takes an argument by non-const reference (auto&), so what it changes would be lost on the "
                  "engine; pass rv::ref<T>(\"name\") to change an engine's variable, or take it as const auto&");
  } else {
    static_assert(never<F>, "rankview: the callable cannot be called with these arguments");
  }
  return false;
}

template <class R>
consteval bool accepts_result() {
  if constexpr (is_raw_pointer<R>) {
    static_assert(never<R>,
                  "rankview: the callable returns a raw pointer, which means nothing in another process; return the value or a container");
  } else if constexpr (is_result<R>::value || is_subtask<R>::value) {
    static_assert(never<R>, "rankview: the callable returns a result that is not there yet; return its value, get()");
  } else if constexpr (is_reference<R>::value) {
    static_assert(never<R>, "rankview: the callable returns an rv::ref(), which means an argument; return the variable's value");
  } else if constexpr (stays_on_root<R> || is_subscript<R>::value) {
    static_assert(never<R>, "rankview: the callable returns a view or a client, which mean nothing on an engine");
  } else if constexpr (is_communicator<R>) {
    static_assert(never<R>, "rankview: the callable returns a communicator, which does not travel");
  } else if constexpr (is_reference_wrapper<R>::value) {
    static_assert(never<R>, "rankview: the callable returns a std::reference_wrapper, an address in its process; return the value");
  } else {
    return true;
  }
  return false;
}

// ---- what comes of it -------------------------------------------------------------------------------------------------------

template <class F, class... A>
consteval bool accepts() {
  if constexpr (!accepts_callable<F>()) {
    return false;
  } else if constexpr (!accepts_arguments<F, std::decay_t<unborrowed_t<A>>...>()) {
    return false;
  } else {
    using Sig = typename Signature<F, A...>::type;
    if constexpr (!accepts_call<F>(Sig())) {
      return false;
    } else {
      return accepts_result<std::remove_cvref_t<typename Invoked<F, Sig>::type>>();
    }
  }
}

template <bool accepted, class F, class... A>
struct MadeIf {};
template <class F, class... A>
struct MadeIf<true, F, A...> {
  using Sig = typename Signature<F, A...>::type;
  using Result = std::remove_cvref_t<result_owner_t<typename Invoked<F, Sig>::type>>;
};

// A call of F with arguments of types A: whether it can be made and, if so, how its arguments travel, and what it returns as that arrives
// on the client.
template <class F, class... A>
struct Made : MadeIf<accepts<F, A...>(), F, A...> {
  static constexpr bool accepted = accepts<F, A...>();
};

}  // namespace rankview::detail
