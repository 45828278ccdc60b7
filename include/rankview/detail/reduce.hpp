// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/caught.hpp>
#include <rankview/detail/fold.hpp>
#include <rankview/detail/reduction.hpp>

#include <algorithm>
#include <exception>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// reduce, reduce_all and allreduce. What MPI has an operation for is an MPI_Ireduce or MPI_Iallreduce, everything else a fold.
namespace rankview::inline abi_0_1::detail {

// The result of an MPI_Ireduce: rank 0 puts in what changes nothing, and finds the result in its place.
template <class T>
class Reduced final : public Results<T> {
 public:
  explicit Reduced(Operation operation) : operation_(operation) {}
  void grow(std::uint64_t, std::uint64_t) override {}
  void load(std::uint64_t, Reader&) override {}
  std::byte* room(std::uint64_t count) override {
    auto& slot = this->slot(0);
    if constexpr (Results<T>::boxed) {
      return reinterpret_cast<std::byte*>(&slot.emplace(neutral<T>(operation_)));
    } else if constexpr (std::is_arithmetic_v<T>) {
      slot = neutral<T>(operation_);
      return reinterpret_cast<std::byte*>(&slot);
    } else {
      slot.assign(static_cast<std::size_t>(count), neutral<typename T::value_type>(operation_));
      return reinterpret_cast<std::byte*>(slot.data());
    }
  }

 private:
  Operation operation_;
};

// Says what rank 0 does in an MPI_Ireduce of Unit elements with Op.
template <class Unit, class Op>
void set_reduction(RootPart& root) {
  root.element = *mpi_element<Unit>();
  root.operation = *mpi_operation<Op, Unit>();
}

template <class Op>
void save_named(const std::shared_ptr<Call>& call, const Caller& caller, std::string_view name, const Op& op) {
  Submission submission(call, std::nullopt);
  Writer& out = submission.begin_item(0);
  out.text(name);
  save_operation(out, op);
  submission.end_item();
  submission.finish(caller.unattended);
}

inline void check_anybody(const Caller& caller, std::string_view verb, std::string_view name) {
  if (caller.engines.empty()) throw UsageError(quoted(verb, name) + ": the view has no engines, and there is nothing to fold");
}

// ---- one value by MPI --------------------------------------------------------------------------------------------------------

// Every engine contributes one value, made by Value::of(name). Needs no vote: an engine that has none puts in what changes nothing, and its
// error makes the call fail.
template <class T, class Op, class Value>
struct ReduceOne {
  static constexpr Operation operation = *mpi_operation<Op, T>();

  static void run(Invocation& invocation) {
    const std::string name(invocation.arguments.text());
    T& value = kept_value(*invocation.group, T(neutral<T>(operation)));
    std::exception_ptr error;
    try {
      value = Value::of(name);
    } catch (...) {
      error = caught();
    }
    invocation.group->reduce(&value, 1, *mpi_element<T>(), operation);
    if (error) std::rethrow_exception(error);
  }
};

template <class T, class Op, class Value>
std::shared_ptr<Results<T>> reduce_one(const Caller& caller, std::string_view name) {
  auto call = make_call<Reduced<T>>(*mpi_operation<Op, T>());
  prepare_collective<ReduceOne<T, Op, Value>>(*call, caller, RootPart::Kind::reduce);
  set_reduction<T, Op>(call->root.edit());
  call->root.edit().votes = false;
  call->root.edit().deal = {1, sizeof(T), block};
  submit_verb(call, caller, name);
  return call;
}

// ---- reduce ------------------------------------------------------------------------------------------------------------------

template <class T>
struct VariableValue {
  static T of(const std::string& name) { return this_engine::vars().get<T>(name); }
};

template <class T, class Op>
struct ReduceArray {
  static void run(Invocation& invocation) {
    using Unit = typename T::value_type;
    const std::string name(invocation.arguments.text());
    const T& own = this_engine::vars().get<T>(name);
    keep_variable(*invocation.group, name);
    invocation.group->agree(own.size());
    invocation.group->reduce(own.data(), own.size(), *mpi_element<Unit>(), *mpi_operation<Op, Unit>());
  }
};

// How many elements a variable has that is reduced element by element.
template <class T, class Op>
std::uint64_t length_of(const T& value) {
  if constexpr (Elementwise<T, Op>::arrays) {
    return value.size();
  } else {
    static_cast<void>(value);
    return 1;
  }
}

template <class T, class Op>
struct ReduceFold {
  static void run(Invocation& invocation) {
    const std::string name(invocation.arguments.text());
    const Op op = load_operation<Op>(invocation.arguments);
    const T& own = this_engine::vars().get<T>(name);
    Folded<T> folded{own, nullptr};
    invocation.group->agree(length_of<T, Op>(own));
    fold(*invocation.group, folded, Combine<T, Op>{op});
    finish_fold(invocation, folded);
  }
};

template <class T, class Op>
inline constexpr bool mpi_reduces = mpi_operation<Op, typename Elementwise<T, Op>::Unit>().has_value() &&
                                    (!Elementwise<T, Op>::arrays || !std::is_same_v<typename Elementwise<T, Op>::Unit, bool>);

template <class T, class Op>
std::shared_ptr<Results<T>> reduce(const Caller& caller, std::string_view name, const Op& op) {
  if constexpr (!accepts_reduction<T, Op>()) {
    return nullptr;
  } else {
    check_anybody(caller, "reduce", name);
    using Unit = typename Elementwise<T, Op>::Unit;
    constexpr bool arrays = Elementwise<T, Op>::arrays;
    if constexpr (mpi_reduces<T, Op> && !arrays) {
      return reduce_one<T, Op, VariableValue<T>>(caller, name);
    } else if constexpr (mpi_reduces<T, Op>) {
      auto call = make_call<Reduced<T>>(*mpi_operation<Op, Unit>());
      prepare_collective<ReduceArray<T, Op>>(*call, caller, RootPart::Kind::reduce);
      set_reduction<Unit, Op>(call->root.edit());
      call->root.edit().equal_counts = true;
      call->root.edit().what = quoted("reduce", name);
      submit_verb(call, caller, name);
      return call;
    } else {
      auto call = new_collective<ReduceFold<T, Op>, FromFirst<T>>(caller, RootPart::Kind::attend);
      call->root.edit().equal_counts = arrays;
      call->root.edit().what = quoted("reduce", name);
      save_named(call, caller, name, op);
      return call;
    }
  }
}

// ---- reduce_all --------------------------------------------------------------------------------------------------------------

// The fold of a whole container, or of what is one value anyway.
template <class T, class Op>
std::optional<T> local_fold(const std::string& name, const Op& op) {
  Variables& vars = this_engine::vars();
  if (const T* const one = vars.find<T>(name)) return *one;
  const auto& elements = vars.get<std::vector<T>>(name);
  if (elements.empty()) return std::nullopt;
  T folded = elements.front();
  for (std::size_t i = 1; i < elements.size(); ++i) folded = std::invoke(op, std::as_const(folded), static_cast<const T&>(elements[i]));
  return folded;
}

template <class T, class Op>
struct FoldedValue {
  static T of(const std::string& name) {
    Variables& vars = this_engine::vars();
    if (const T* const one = vars.find<T>(name)) return *one;
    const auto& elements = vars.get<std::vector<T>>(name);
    // Four elements at a time, which the compiler can do side by side.
    return std::reduce(elements.begin(), elements.end(), neutral<T>(*mpi_operation<Op, T>()), Op());
  }
};

template <class T, class Op>
struct ReduceAllFold {
  static void run(Invocation& invocation) {
    const std::string name(invocation.arguments.text());
    const Op op = load_operation<Op>(invocation.arguments);
    Folded<T> folded{local_fold<T>(name, op), nullptr};
    invocation.group->agree(folded.value ? 1 : 0);
    fold(*invocation.group, folded, [&op](T& a, T& b) { a = std::invoke(op, std::as_const(a), std::as_const(b)); });
    finish_fold(invocation, folded);
  }
};

// Whether folding no elements at all has a value.
template <class T, class Op>
constexpr bool has_neutral() {
  constexpr auto operation = mpi_operation<Op, T>();
  return operation && *operation != Operation::minimum && *operation != Operation::maximum;
}

template <class T, class Op>
std::shared_ptr<Results<T>> reduce_all(const Caller& caller, std::string_view name, const Op& op) {
  if constexpr (!accepts_reduction_of_all<T, Op>()) {
    return nullptr;
  } else {
    check_anybody(caller, "reduce_all", name);
    if constexpr (has_neutral<T, Op>()) {
      return reduce_one<T, Op, FoldedValue<T, Op>>(caller, name);
    } else {
      auto call = new_collective<ReduceAllFold<T, Op>, FromFirst<T>>(caller, RootPart::Kind::attend);
      call->root.edit().some = true;
      call->root.edit().what = quoted("reduce_all", name);
      save_named(call, caller, name, op);
      return call;
    }
  }
}

// ---- allreduce ---------------------------------------------------------------------------------------------------------------

template <class T, class Op>
struct Allreduce {
  static void run(Invocation& invocation) {
    using Unit = typename Elementwise<T, Op>::Unit;
    constexpr Element element = *mpi_element<Unit>();
    constexpr Operation operation = *mpi_operation<Op, Unit>();
    const std::string name(invocation.arguments.text());
    const std::string into(invocation.arguments.text());
    const T& own = this_engine::vars().get<T>(name);
    if constexpr (Elementwise<T, Op>::arrays) {
      keep_variable(*invocation.group, name);
      Destination<T> to(*invocation.group, into, own.size());
      invocation.group->agree(own.size());
      invocation.group->allreduce(own.data(), to.data(), own.size(), element, operation);
      to.commit();
    } else {
      T& result = kept_value(*invocation.group, T(own));
      invocation.group->agree(1);
      invocation.group->allreduce(&result, &result, 1, element, operation);
      this_engine::vars().set(into, result);
    }
  }
};

template <class T, class Op>
struct AllreduceFold {
  static void run(Invocation& invocation) {
    Group& group = *invocation.group;
    const std::string name(invocation.arguments.text());
    const std::string into(invocation.arguments.text());
    const Op op = load_operation<Op>(invocation.arguments);
    const T& own = this_engine::vars().get<T>(name);
    Folded<T> folded{own, nullptr};
    group.agree(length_of<T, Op>(own));
    fold(group, folded, Combine<T, Op>{op});
    // What the first engine has is for all.
    auto& out = kept_value(group, Writer());
    if (group.index() == 0) out = encode(folded);
    auto& size = kept_value(group, std::uint64_t{out.bytes.size()});
    group.share(&size, sizeof(size), 0);
    if (group.index() != 0) out.bytes.extend(size);
    group.share(out.bytes.data(), size, 0);
    if (folded.error) std::rethrow_exception(folded.error);
    std::optional<T> result;
    if (decode_partial(out.bytes.bytes(), result) != Partial::value) throw StoodBack();
    this_engine::vars().set(into, std::move(*result));
  }
};

template <class T, class Op>
std::shared_ptr<Results<void>> allreduce(const Caller& caller, std::string_view name, std::string_view into, const Op& op) {
  if constexpr (!accepts_reduction<T, Op>()) {
    return nullptr;
  } else {
    using Verb = std::conditional_t<mpi_reduces<T, Op>, Allreduce<T, Op>, AllreduceFold<T, Op>>;
    auto call = new_collective<Verb, Results<void>>(caller, RootPart::Kind::attend);
    call->root.edit().equal_counts = Elementwise<T, Op>::arrays;
    call->root.edit().what = quoted("allreduce", name);
    Submission submission(call, std::nullopt);
    Writer& out = submission.begin_item(0);
    out.text(name);
    out.text(into);
    save_operation(out, op);
    submission.end_item();
    submission.finish(caller.unattended);
    return call;
  }
}

}  // namespace rankview::detail
