// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/misuse.hpp>
#include <rankview/detail/results.hpp>
#include <rankview/errors.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>

// A map whose results are folded: on the engines those of neighbouring items that were handed out together, on rank 0 the rest, in item
// order throughout.
namespace rankview::inline abi_0_1::detail {

// A callable within the state that an engine is sent.
template <class F>
void save_callable(Writer& out, const F& callable) {
  if constexpr (is_function<F>) {
    if (callable == nullptr) throw UsageError("a function to call is a null pointer");
    codec<F>::save(out, callable);
  } else if constexpr (is_by_value<F>::value) {
    out.value(callable);
  } else if constexpr (has_state<F>) {
    codec<F>::save(out, callable);
  }
}
template <class F>
F load_callable(Reader& in) {
  if constexpr (is_by_value<F>::value) {
    return in.value<F>();
  } else if constexpr (is_function<F> || has_state<F>) {
    return codec<F>::load(in);
  } else {
    return F();
  }
}

// Whether Op folds what the map M gives.
template <class M, class Op>
consteval bool accepts_fold() {
  if constexpr (!M::accepted || !accepts_callable<Op>()) {
    return false;
  } else if constexpr (std::is_void_v<typename M::Result>) {
    static_assert(never<M>, "rankview: what map_reduce() is to fold must return something");
    return false;
  } else if constexpr (!std::is_invocable_r_v<typename M::Result, const Op&, typename M::Result, typename M::Result>) {
    static_assert(never<M>, "rankview: the operation of map_reduce() must be callable as R(R, R)");
    return false;
  } else {
    return true;
  }
}

// On the engine.
template <class F, class Op, class Sig, class R>
struct MapReduce {
  struct Callables {
    F f;
    Op op;
  };
  struct State {
    std::optional<R> total;
    std::optional<R> item;
  };

  static State& state(Invocation& invocation) {
    if (invocation.folded == nullptr) invocation.folded = std::make_shared<State>();
    return *static_cast<State*>(invocation.folded.get());
  }
  static const Callables& callables(const Invocation& invocation) { return *static_cast<const Callables*>(invocation.object); }

  static void run(Invocation& invocation) {
    decode_then(Sig(), invocation, [&invocation](auto&&... arguments) {
      R value(std::invoke(callables(invocation).f, std::forward<decltype(arguments)>(arguments)...));
      state(invocation).item.emplace(std::move(value));
    });
  }
  static void fold(Invocation& invocation) {
    State& kept = state(invocation);
    if (!kept.total) {
      kept.total = std::move(kept.item);
      return;
    }
    try {
      R total = std::invoke(callables(invocation).op, std::move(*kept.total), std::move(*kept.item));
      kept.total = std::move(total);
    } catch (...) {
      invocation.folded.reset();
      throw;
    }
  }
  static void finish(Invocation& invocation) {
    R total = std::move(*state(invocation).total);
    invocation.folded.reset();
    invocation.result.value(char{1});  // items whose value is within that of another have nothing
    give_result(invocation, std::move(total));
  }
  static std::shared_ptr<const void> load(Reader& in) {
    F f = load_callable<F>(in);
    return std::make_shared<const Callables>(Callables{std::move(f), load_callable<Op>(in)});
  }

  static constexpr Thunk thunk{&run, &load, &fold, &finish};

  static Function function(const F& f, const Op& op) {
    Function function;
    function.thunk = &thunk;
    save_callable(function.object.edit(), f);
    save_callable(function.object.edit(), op);
    return function;
  }
};

// On rank 0: one value, made of those that come, each of which is that of an item and some before it.
template <class R, class Op>
class MapReduced final : public Results<R> {
 public:
  explicit MapReduced(Op op) : op_(std::move(op)) { this->completes = true; }

  void grow(std::uint64_t, std::uint64_t) override {}
  void load(std::uint64_t item, Reader& in) override {
    if (in.done()) return;
    in.skip(1);
    values_.emplace(item, codec<R>::load(in));
  }
  void discard() noexcept override {
    Results<R>::discard();
    values_.clear();
  }
  void complete() override {
    if (values_.empty()) throw UsageError("map_reduce() over an empty range has no value");
    auto at = values_.begin();
    R total = std::move(at->second);
    while (++at != values_.end()) total = std::invoke(op_, std::move(total), std::move(at->second));
    values_.clear();
    this->slot(0) = std::move(total);
  }

 private:
  Op op_;
  std::map<std::uint64_t, R> values_;  // by the last item of each
};

}  // namespace rankview::detail
