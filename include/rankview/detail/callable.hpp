// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/borrow.hpp>
#include <rankview/by_value.hpp>
#include <rankview/dependency.hpp>
#include <rankview/detail/codec.hpp>
#include <rankview/detail/collective.hpp>
#include <rankview/detail/kept_result.hpp>
#include <rankview/detail/rare.hpp>
#include <rankview/this_engine.hpp>

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

// How a callable reaches an engine: what travels is the address of a Thunk, a constant made by the compiler for one callable type
// and the types of its arguments, which every process of the same build has. It knows how to decode the arguments, call, and encode
// the result.
namespace rankview::inline abi_0_1::detail {

// What surrounds one run of a thunk.
class Invocation {
 public:
  // Returns when what the reader claimed has arrived.
  virtual void await_attachments() = 0;

  Reader& arguments;
  Writer& result;
  const void* function;  // where the callable is a function pointer
  const void* object;    // where it has state: what Thunk::load made
  Group* group;          // where several engines run the call together
  // Where the results of neighbouring items are folded: what Thunk::run and ::fold keep from item to item.
  std::shared_ptr<void>& folded;
  // Of the result, where it owns what is attached.
  const std::type_info* result_type = nullptr;

 protected:
  Invocation(Reader& in, Writer& out, const void* code, const void* state, Group* together, std::shared_ptr<void>& kept)
      : arguments(in), result(out), function(code), object(state), group(together), folded(kept) {}
  ~Invocation() = default;
};

struct Thunk {
  void (*run)(Invocation&);
  std::shared_ptr<const void> (*load)(Reader&);  // null for callables without state
  // Where results are folded on the engine, run() leaves the item's in Invocation::folded. Adds it to what there is; resets
  // Invocation::folded if that throws.
  void (*fold)(Invocation&) = nullptr;
  // Encodes what was folded, and resets it.
  void (*finish)(Invocation&) = nullptr;
  // Of a task of apply() or map(): what is called, and the type of its result.
  const std::type_info* callable = nullptr;
  const std::type_info* result = nullptr;
};

// ---- what may be called -----------------------------------------------------------------------------------------------------

template <class F>
struct is_by_value : std::false_type {};
template <class F>
struct is_by_value<ByValue<F>> : std::true_type {};

template <class F>
struct is_reference : std::false_type {};
template <class T>
struct is_reference<Reference<T>> : std::true_type {};

template <class F>
inline constexpr bool is_function = is_function_pointer<F>::value;

// Nothing to send but the type: captureless lambdas and empty function objects.
template <class F>
inline constexpr bool is_stateless = !is_by_value<F>::value && std::is_empty_v<F> && std::is_default_constructible_v<F>;

template <class F>
inline constexpr bool has_state = !is_function<F> && !is_stateless<F>;

// ---- what its parameters are ------------------------------------------------------------------------------------------------

template <class... P>
struct Parameters {
  static constexpr std::size_t count = sizeof...(P);
};

template <class F, class = void>
struct parameters_of {
  static constexpr bool known = false;  // overloaded or generic
};
template <class R, class... P>
struct parameters_of<R (*)(P...)> {
  static constexpr bool known = true;
  using type = Parameters<P...>;
};
template <class R, class... P>
struct parameters_of<R (*)(P...) noexcept> : parameters_of<R (*)(P...)> {};
template <class R, class C, class... P>
struct parameters_of<R (C::*)(P...)> : parameters_of<R (*)(P...)> {};
template <class R, class C, class... P>
struct parameters_of<R (C::*)(P...) const> : parameters_of<R (*)(P...)> {};
template <class R, class C, class... P>
struct parameters_of<R (C::*)(P...) noexcept> : parameters_of<R (*)(P...)> {};
template <class R, class C, class... P>
struct parameters_of<R (C::*)(P...) const noexcept> : parameters_of<R (*)(P...)> {};
template <class F>
struct parameters_of<F, std::void_t<decltype(&F::operator())>> : parameters_of<decltype(&F::operator())> {};
template <class F>
struct parameters_of<ByValue<F>, void> : parameters_of<F> {};
template <class F>
struct parameters_of<Reference<F>, void> : parameters_of<std::decay_t<F>> {};

// A callable whose first parameter is a communicator gets one of the engines that run it together; its arguments are the rest.
template <class P>
struct without_communicator {
  static constexpr bool stripped = false;
  using type = P;
};
template <class... P>
struct without_communicator<Parameters<const boost::mpi::communicator&, P...>> {
  static constexpr bool stripped = true;
  using type = Parameters<P...>;
};
template <class F>
inline constexpr bool takes_communicator = [] {
  if constexpr (parameters_of<F>::known) {
    return without_communicator<typename parameters_of<F>::type>::stripped;
  } else {
    return false;
  }
}();

// What owns, on the engine, the value that a parameter of type P looks at.
template <class P>
struct owner {
  using type = P;
};
template <class C, class Traits>
struct owner<std::basic_string_view<C, Traits>> {
  using type = std::basic_string<C, Traits>;
};
template <class T, std::size_t N>
struct owner<std::span<T, N>> {
  using type = std::vector<std::remove_const_t<T>>;
};
template <class P>
using owner_t = typename owner<std::remove_cvref_t<P>>::type;

template <class A>
struct unborrowed {
  using type = A;
};
template <class T>
struct unborrowed<Borrowed<T>> {
  using type = T;
};
template <class A>
using unborrowed_t = typename unborrowed<std::remove_cvref_t<A>>::type;

// Tag for "the callable is generic: the argument decides".
struct Deduced {};

// The type that travels for an argument of type A towards a parameter of type P; misuse.hpp says which go together.
template <class A, class P>
struct Travelling {
  using type = owner_t<P>;
};
template <class A>
struct Travelling<A, Deduced> {
  using type = typename owner<std::decay_t<A>>::type;
};
template <>
struct Travelling<const char*, Deduced> {
  using type = std::string;
};
template <>
struct Travelling<char*, Deduced> {
  using type = std::string;
};
template <class T, class P>
struct Travelling<Reference<T>, P> {
  using type = Reference<T>;
};
template <class T>
struct Travelling<Reference<T>, Deduced> {
  using type = Reference<T>;
};
// The result of another call: what arrives is its value, or, of a block, the engine may have it.
template <class T, class P>
struct Awaited {
  using Value = typename Travelling<T, P>::type;
  using type = typename std::conditional_t<is_block<T>::value && std::is_same_v<T, Value>, std::type_identity<FromResult<Value>>,
                                           std::type_identity<Value>>::type;
};
template <class T, class P>
struct Travelling<AsyncResult<T>, P> : Awaited<T, P> {};
template <class T>
struct Travelling<AsyncResult<T>, Deduced> : Awaited<T, Deduced> {};

template <class A>
struct is_result : std::false_type {};
template <class T>
struct is_result<AsyncResult<T>> : std::true_type {};
template <class... A>
inline constexpr bool any_result = (is_result<std::remove_cvref_t<A>>::value || ...);

template <class A, class P>
using wire_t = typename Travelling<std::decay_t<unborrowed_t<A>>, P>::type;

template <class F, class... A>
struct Signature {
  template <class... P>
  static auto pair(Parameters<P...>) {
    return Parameters<std::pair<wire_t<A, P>, P>...>();
  }
  static auto deduce() {
    if constexpr (parameters_of<F>::known) {
      return pair(typename without_communicator<typename parameters_of<F>::type>::type());
    } else {
      return Parameters<std::pair<wire_t<A, Deduced>, Deduced>...>();
    }
  }
  // For each argument, the type that travels and the parameter it is for.
  using type = decltype(deduce());
};

// ---- on the engine ----------------------------------------------------------------------------------------------------------

// What a callable sees of an argument that travelled as W towards a parameter P.
template <class P>
inline constexpr bool looks_at = !std::is_same_v<owner_t<P>, std::remove_cvref_t<P>>;  // std::span, std::string_view

template <class W, class P>
struct Seen {
  using type = std::conditional_t<looks_at<P>, W&, std::conditional_t<std::is_lvalue_reference_v<P>, const W&, W&&>>;
  static type see(W& value) { return static_cast<type>(value); }
};
template <class T, class P>
struct Seen<FromResult<T>, P> {
  static constexpr bool only_looks = (std::is_lvalue_reference_v<P> || looks_at<P>)&&std::is_convertible_v<const T&, P>;
  using type = std::conditional_t<only_looks, const T&, typename Seen<T, P>::type>;
  static type see(FromResult<T>& value) {
    if constexpr (only_looks) {
      return value.look();
    } else {
      return Seen<T, P>::see(value.own());
    }
  }
};
template <class T, class P>
struct Seen<Reference<T>, P> {
  using type = T&;
  static type see(const Reference<T>& reference) { return this_engine::vars().get<T>(reference.name); }
};
template <class P>
struct Seen<Reference<>, P> {
  using type = owner_t<P>&;
  static type see(const Reference<>& reference) { return this_engine::vars().get<owner_t<P>>(reference.name); }
};

// The callable itself, as an engine gets at it.
template <class F>
decltype(auto) callable(const Invocation& invocation) {
  if constexpr (is_function<F>) {
    return reinterpret_cast<F>(const_cast<void*>(invocation.function));
  } else if constexpr (is_stateless<F>) {
    return F();
  } else {
    return *static_cast<const F*>(invocation.object);
  }
}

// A result type as it travels: views become what owns their data.
template <class R>
using result_owner_t = std::conditional_t<std::is_void_v<R>, void, owner_t<R>>;

// Encodes the result of a task.
template <class R>
void give_result(Invocation& invocation, R&& result) {
  using Result = std::remove_cvref_t<R>;
  const Writer::Mark mark = invocation.result.mark();
  codec<Result>::save(invocation.result, result);
  // Attachments point into the heap that `result` owns, and go on doing so when it moves.
  if (!invocation.result.attached_since(mark)) return;
  invocation.result.kept.push_back(std::make_shared<const Result>(std::forward<R>(result)));
  invocation.result_type = &typeid(Result);
}

template <class F, class... Ready>
decltype(auto) invoke(Invocation& invocation, Ready&&... arguments) {
  if constexpr (takes_communicator<F>) {
    return std::invoke(callable<F>(invocation), invocation.group->communicator(), std::forward<Ready>(arguments)...);
  } else {
    return std::invoke(callable<F>(invocation), std::forward<Ready>(arguments)...);
  }
}

template <class R, class F, class... Ready>
void call(Invocation& invocation, Ready&&... arguments) {
  invocation.await_attachments();
  if constexpr (std::is_void_v<R>) {
    invoke<F>(invocation, std::forward<Ready>(arguments)...);
  } else {
    using Result = result_owner_t<R>;
    if constexpr (bulky<Result>) {
      const std::unique_ptr<Result> result(new Result(invoke<F>(invocation, std::forward<Ready>(arguments)...)));
      give_result(invocation, std::move(*result));
    } else {
      give_result(invocation, Result(invoke<F>(invocation, std::forward<Ready>(arguments)...)));
    }
  }
}

// An argument that was decoded: on the stack, unless it is too large for that.
template <class W>
struct Decoded {
  explicit Decoded(Reader& in) : value(codec<W>::load(in)) {}
  W& operator*() { return value; }
  W value;
};
template <class W>
requires bulky<W>
struct Decoded<W> {
  explicit Decoded(Reader& in) : value(load_shared<W>(in)) {}
  W& operator*() { return *value; }
  std::shared_ptr<W> value;
};

// Decodes the arguments from left to right, keeping each, then calls.
template <class R, class F, class... Ready>
void decode_and_call(Parameters<>, Invocation& invocation, Ready&&... ready) {
  call<R, F>(invocation, std::forward<Ready>(ready)...);
}
template <class R, class F, class W, class P, class... Rest, class... Ready>
void decode_and_call(Parameters<std::pair<W, P>, Rest...>, Invocation& invocation, Ready&&... ready) {
  Decoded<W> value(invocation.arguments);
  decode_and_call<R, F>(Parameters<Rest...>(), invocation, std::forward<Ready>(ready)..., Seen<W, P>::see(*value));
}

// The same for a consumer of the arguments that is not the callable itself.
template <class Consume, class... Ready>
void decode_then(Parameters<>, Invocation& invocation, const Consume& consume, Ready&&... ready) {
  invocation.await_attachments();
  consume(std::forward<Ready>(ready)...);
}
template <class W, class P, class... Rest, class Consume, class... Ready>
void decode_then(Parameters<std::pair<W, P>, Rest...>, Invocation& invocation, const Consume& consume, Ready&&... ready) {
  Decoded<W> value(invocation.arguments);
  decode_then(Parameters<Rest...>(), invocation, consume, std::forward<Ready>(ready)..., Seen<W, P>::see(*value));
}

template <class F, class Sig>
struct Invoked;
template <class F, class... W, class... P>
struct Invoked<F, Parameters<std::pair<W, P>...>> {
  using Target = std::conditional_t<is_function<F>, F, const F&>;
  template <class... First>
  static auto result() {
    return std::invoke_result<Target, First..., typename Seen<W, P>::type...>();
  }
  static auto decide() {
    if constexpr (takes_communicator<F>) {
      return result<const boost::mpi::communicator&>();
    } else {
      return result();
    }
  }
  using type = typename decltype(decide())::type;
};

template <class F, class Sig>
void run_thunk(Invocation& invocation) {
  decode_and_call<typename Invoked<F, Sig>::type, F>(Sig(), invocation);
}

template <class F>
std::shared_ptr<const void> load_object(Reader& in) {
  if constexpr (is_by_value<F>::value) {
    return std::make_shared<const F>(in.value<F>());
  } else {
    return std::make_shared<const F>(load_whole<F>(in));
  }
}

template <class F, class Sig>
inline constexpr Thunk thunk{&run_thunk<F, Sig>,
                             has_state<F> ? &load_object<F> : nullptr,
                             nullptr,
                             nullptr,
                             &typeid(F),
                             &typeid(std::remove_cvref_t<result_owner_t<typename Invoked<F, Sig>::type>>)};

// ---- on the client ----------------------------------------------------------------------------------------------------------

// A callable as a call needs it.
struct Function {
  const Thunk* thunk = nullptr;
  const void* code = nullptr;  // where it is a function pointer
  Rare<Writer> object;         // where it has state
};

template <class Sig, class F>
Function function_for(const F& callable) {
  Function function;
  function.thunk = &thunk<F, Sig>;
  if constexpr (is_function<F>) {
    if (callable == nullptr) throw UsageError("the function to call is a null pointer");
    function.code = reinterpret_cast<const void*>(callable);
  } else if constexpr (is_by_value<F>::value) {
    function.object.edit().value(callable);
  } else if constexpr (has_state<F>) {
    Writer& object = function.object.edit();
    object.canonical = true;  // a checkpoint may know the call by it
    save_whole(object, callable);
  }
  return function;
}

// How long the caller's own objects may be looked at.
enum class Lifetime { call, result };

// Encodes one argument as a W. With Lifetime::result, what is attached is first made the call's own: an rvalue is moved, an lvalue
// copied, a borrowed one left where it is.
template <class W, class A>
void save_argument(Writer& out, A&& argument, Lifetime lifetime) {
  if constexpr (!std::is_same_v<unborrowed_t<A>, std::remove_cvref_t<A>>) {
    save_argument<W>(out, *argument.value, Lifetime::call);
  } else if constexpr (is_view<std::remove_cvref_t<A>>::value) {
    save_argument<W>(out, W(argument.begin(), argument.end()), Lifetime::result);
  } else if constexpr (!std::is_same_v<std::remove_cvref_t<A>, W>) {
    save_argument<W>(out, static_cast<W>(std::forward<A>(argument)), Lifetime::result);
  } else {
    const Writer::Mark mark = out.mark();
    codec<W>::save(out, argument);
    if (lifetime == Lifetime::result && out.attached_since(mark)) {
      if constexpr (std::is_constructible_v<W, A&&>) {
        out.rewind(mark);
        auto kept = std::make_shared<const W>(std::forward<A>(argument));
        codec<W>::save(out, *kept);
        out.kept.push_back(std::move(kept));
      } else {
        throw UsageError("an argument that cannot be copied has to be moved into an asynchronous call, or borrowed");
      }
    }
  }
}

template <class... W, class... P, class... A>
void save_arguments(Parameters<std::pair<W, P>...>, [[maybe_unused]] Writer& out, [[maybe_unused]] Lifetime lifetime, A&&... arguments) {
  (save_argument<W>(out, std::forward<A>(arguments), lifetime), ...);
}

// The encoded size of one item where it is always the same, 0 otherwise.
template <class Sig>
inline constexpr std::size_t item_size = 0;
template <class... W, class... P>
inline constexpr std::size_t item_size<Parameters<std::pair<W, P>...>> = ((fixed_size<W> != 0) && ...)
                                                                             ? (fixed_size<W> + ... + std::size_t{0})
                                                                             : 0;

}  // namespace rankview::detail
