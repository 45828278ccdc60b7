// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/view.hpp>
#include <rankview/targets.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rankview {

namespace detail {

// The tasks behind the verbs on variables: ordinary callables, shipped like any other.
template <class T>
struct Push {
  void operator()(std::string_view name, T value) const { this_engine::vars().set(name, std::move(value)); }
};
template <class T>
struct Pull {
  const T& operator()(std::string_view name) const { return this_engine::vars().get<T>(name); }
};
struct Erase {
  bool operator()(std::string_view name) const { return this_engine::vars().erase(name); }
};
struct Clear {
  void operator()() const { this_engine::vars().clear(); }
};
struct Contains {
  bool operator()(std::string_view name) const { return this_engine::vars().contains(name); }
};
struct Names {
  std::vector<std::string> operator()() const { return this_engine::vars().names(); }
};

// A variable on the engines of a view.
template <class View>
class Subscript {
 public:
  Subscript(View view, std::string name) : view_(std::move(view)), name_(std::move(name)) {}

  template <class T>
  const Subscript& operator=(T&& value) const {
    view_.push_sync(name_, std::forward<T>(value));
    return *this;
  }
  template <class T>
  [[nodiscard]] auto get() const {
    return view_.template pull_sync<T>(name_);
  }

 private:
  View view_;
  std::string name_;
};

template <class R>
using one_t = R;

// The verbs of views whose tasks are bound to engines. `View` says which engines; `Outcome` makes of a task's result type what comes back:
// the same, or a list.
template <class View, template <class> class Outcome>
class DirectVerbs {
 public:
  /// Calls `f(arguments...)` on each engine of the view. See DirectView and EngineView for what comes back. Cost: one message to each
  /// engine, and one back.
  template <class F, class... A>
  auto apply(F f, A&&... arguments) const {
    using M = Made<F, A...>;
    return AsyncResult<Outcome<typename M::Result>>(
        make<typename M::Sig, typename M::Result>(f, Lifetime::result, std::forward<A>(arguments)...));
  }
  template <class F, class... A>
  auto apply_sync(F f, A&&... arguments) const {
    using M = Made<F, A...>;
    return take_result<Outcome<typename M::Result>>(
        *make<typename M::Sig, typename M::Result>(f, Lifetime::call, std::forward<A>(arguments)...));
  }
  template <class F, class... A>
  auto apply_async(F f, A&&... arguments) const {
    return apply(std::move(f), std::forward<A>(arguments)...);
  }

  /// Calls `f` on each element, one contiguous block of elements per engine; fewer elements than engines use only the first engines.
  /// Several ranges go in step until the shortest ends. Results come in element order, errors one by one.
  template <class F, class... Ranges>
  auto map(F f, Ranges&&... ranges) const {
    using M = Made<F, typename Source<Ranges>::Element...>;
    return AsyncResult<many_t<typename M::Result>>(
        make_map<typename M::Sig, typename M::Result>(f, Lifetime::result, std::forward<Ranges>(ranges)...));
  }
  template <class F, class... Ranges>
  auto map_sync(F f, Ranges&&... ranges) const {
    using M = Made<F, typename Source<Ranges>::Element...>;
    return take_result<many_t<typename M::Result>>(
        *make_map<typename M::Sig, typename M::Result>(f, Lifetime::call, std::forward<Ranges>(ranges)...));
  }
  template <class F, class... Ranges>
  auto map_async(F f, Ranges&&... ranges) const {
    return map(std::move(f), std::forward<Ranges>(ranges)...);
  }

  /// Stores a copy of `value` as the variable `name` of each engine.
  template <class T>
  auto push(std::string_view name, T&& value) const {
    return apply(Push<wire_t<T, Deduced>>(), name, std::forward<T>(value));
  }
  template <class T>
  void push_sync(std::string_view name, T&& value) const {
    apply_sync(Push<wire_t<T, Deduced>>(), name, std::forward<T>(value));
  }

  /// The variable `name`, which must be a `T`: fails with NameError on engines that have none, with TypeError on those where it is
  /// something else.
  template <class T>
  auto pull(std::string_view name) const {
    return apply(Pull<T>(), name);
  }
  template <class T>
  auto pull_sync(std::string_view name) const {
    return apply_sync(Pull<T>(), name);
  }

  /// Erases the variable `name`: whether there was one.
  auto erase(std::string_view name) const { return apply(Erase(), name); }
  auto erase_sync(std::string_view name) const { return apply_sync(Erase(), name); }
  /// Erases all variables.
  auto clear() const { return apply(Clear()); }
  void clear_sync() const { apply_sync(Clear()); }
  /// Whether there is a variable `name`.
  auto contains(std::string_view name) const { return apply(Contains(), name); }
  auto contains_sync(std::string_view name) const { return apply_sync(Contains(), name); }
  /// The names of the variables, in alphabetical order.
  auto names() const { return apply(Names()); }
  auto names_sync() const { return apply_sync(Names()); }

  /// `view["x"] = value` pushes and waits; `view["x"].get<T>()` pulls and waits. Both throw what went wrong.
  [[nodiscard]] auto operator[](std::string name) const { return Subscript<View>(self(), std::move(name)); }

  /// A copy of the view that makes its calls with other flags.
  [[nodiscard]] View with(Flags flags) const {
    View copy = self();
    copy.flags_ = std::move(flags);
    return copy;
  }

  /// The engines, in the order of results.
  [[nodiscard]] std::vector<int> targets() const { return self().engines(); }
  [[nodiscard]] std::size_t size() const { return targets().size(); }

 protected:
  explicit DirectVerbs(std::shared_ptr<Controller> controller) : controller_(std::move(controller)) {}

  std::shared_ptr<Controller> controller_;
  Flags flags_;

 private:
  [[nodiscard]] const View& self() const { return static_cast<const View&>(*this); }

  template <class Sig, class R, class F, class... A>
  std::shared_ptr<Results<R>> make(const F& f, Lifetime lifetime, A&&... arguments) const {
    auto call = new_call<Sig, R>(controller_, f, flags_);
    call->multiple = View::multiple;
    call->same_arguments = true;
    call->engines = self().engines();
    submit_apply<R, Sig>(call, lifetime, std::forward<A>(arguments)...);
    return call;
  }
  template <class Sig, class R, class F, class... Ranges>
  std::shared_ptr<Results<R>> make_map(const F& f, Lifetime lifetime, Ranges&&... ranges) const {
    auto call = new_call<Sig, R>(controller_, f, flags_);
    call->engines = self().engines();
    submit_map<Sig>(call, lifetime, std::forward<Ranges>(ranges)...);
    return call;
  }
};

}  // namespace detail

/// One engine: `apply` gives an `R`, `pull<T>` a `T`. A cheap value; usable from several threads at once.
class EngineView : public detail::DirectVerbs<EngineView, detail::one_t> {
 public:
  EngineView(std::shared_ptr<detail::Controller> controller, int engine) : DirectVerbs(std::move(controller)), engine_(engine) {}

  [[nodiscard]] int id() const noexcept { return engine_; }

 private:
  friend DirectVerbs;
  static constexpr bool multiple = false;
  [[nodiscard]] std::vector<int> engines() const { return {engine_}; }

  int engine_;
};

/// Several engines at once: `apply` gives a `std::vector<R>`, `pull<T>` a `std::vector<T>`, in target order, also for a view of one engine;
/// failures come together as a CompositeError. A view of no engines gives empty results. A cheap value; usable from several threads at
/// once.
class DirectView : public detail::DirectVerbs<DirectView, detail::many_t> {
 public:
  /// All live engines, whichever they are at each call.
  explicit DirectView(std::shared_ptr<detail::Controller> controller) : DirectVerbs(std::move(controller)), all_(true) {}
  DirectView(std::shared_ptr<detail::Controller> controller, std::vector<int> engines)
      : DirectVerbs(std::move(controller)), engines_(std::move(engines)) {}

 private:
  friend DirectVerbs;
  static constexpr bool multiple = true;
  [[nodiscard]] std::vector<int> engines() const { return all_ ? detail::live_engines(*controller_) : engines_; }

  bool all_ = false;
  std::vector<int> engines_;
};

}  // namespace rankview
