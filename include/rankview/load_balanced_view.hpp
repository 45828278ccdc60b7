// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/view.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace rankview {

/// Engines as a pool: each task runs on whichever of them is free first (least load). Tasks start in the order in which they were
/// submitted. A cheap value; usable from several threads at once.
///
/// Cost: short tasks are handed out many at a time, as measured durations allow, so that a task costs a fraction of a microsecond; long
/// ones travel alone. On rank 0 a waiting task takes its encoded arguments, its result and some 40 bytes.
class LoadBalancedView {
 public:
  /// Over all live engines.
  explicit LoadBalancedView(std::shared_ptr<detail::Controller> controller) : controller_(std::move(controller)), all_(true) {}
  /// Over these.
  LoadBalancedView(std::shared_ptr<detail::Controller> controller, std::vector<int> engines)
      : controller_(std::move(controller)), engines_(std::move(engines)) {}

  /// Calls `f(arguments...)` on one engine and gives its `R`.
  template <class F, class... A>
  auto apply(F f, A&&... arguments) const {
    using M = detail::Made<F, A...>;
    return AsyncResult<typename M::Result>(
        make<typename M::Sig, typename M::Result>(f, detail::Lifetime::result, std::forward<A>(arguments)...));
  }
  template <class F, class... A>
  auto apply_sync(F f, A&&... arguments) const {
    using M = detail::Made<F, A...>;
    return detail::take_result<typename M::Result>(
        *make<typename M::Sig, typename M::Result>(f, detail::Lifetime::call, std::forward<A>(arguments)...));
  }
  template <class F, class... A>
  auto apply_async(F f, A&&... arguments) const {
    return apply(std::move(f), std::forward<A>(arguments)...);
  }

  /// One task an element, in any order on any engine; results in element order. Several ranges go in step until the shortest ends. Any
  /// input range will do: map() has read it when it returns, map_sync() reads as it goes, some tens of thousands of elements ahead of the
  /// engines.
  template <class F, class... Ranges>
  auto map(F f, Ranges&&... ranges) const {
    using M = detail::Made<F, typename detail::Source<Ranges>::Element...>;
    return AsyncResult<detail::many_t<typename M::Result>>(
        make_map<typename M::Sig, typename M::Result>(f, detail::Lifetime::result, std::forward<Ranges>(ranges)...));
  }
  template <class F, class... Ranges>
  auto map_sync(F f, Ranges&&... ranges) const {
    using M = detail::Made<F, typename detail::Source<Ranges>::Element...>;
    return detail::take_result<detail::many_t<typename M::Result>>(
        *make_map<typename M::Sig, typename M::Result>(f, detail::Lifetime::call, std::forward<Ranges>(ranges)...));
  }
  template <class F, class... Ranges>
  auto map_async(F f, Ranges&&... ranges) const {
    return map(std::move(f), std::forward<Ranges>(ranges)...);
  }

  /// A copy of the view that makes its calls with other flags.
  [[nodiscard]] LoadBalancedView with(Flags flags) const {
    LoadBalancedView copy = *this;
    copy.flags_ = std::move(flags);
    return copy;
  }

  /// What the view's engines have to do and hold, as rank 0 knows it now.
  [[nodiscard]] QueueStatus queue_status() const { return detail::queue_status(*controller_, targets()); }

  /// The engines that may run its tasks.
  [[nodiscard]] std::vector<int> targets() const { return all_ ? detail::live_engines(*controller_) : engines_; }
  [[nodiscard]] std::size_t size() const { return targets().size(); }

 private:
  template <class Sig, class R, class F>
  auto prepare(const F& f) const {
    static_assert(!detail::takes_communicator<F>,
                  "rankview: a callable that wants a communicator needs engines that run it together; use a DirectView");
    auto call = detail::new_call<Sig, R>(controller_, f, flags_);
    call->balanced = true;
    if (!all_) {
      if (engines_.empty()) throw UsageError("a load-balanced view of no engines cannot run tasks");
      call->engines = engines_;
    }
    return call;
  }
  template <class Sig, class R, class F, class... A>
  auto make(const F& f, detail::Lifetime lifetime, A&&... arguments) const {
    auto call = prepare<Sig, R>(f);
    detail::submit_apply<R, Sig>(call, lifetime, std::forward<A>(arguments)...);
    return call;
  }
  template <class Sig, class R, class F, class... Ranges>
  auto make_map(const F& f, detail::Lifetime lifetime, Ranges&&... ranges) const {
    if (flags_.chunksize <= 0) throw UsageError("chunksize must be at least 1, and is " + std::to_string(flags_.chunksize));
    auto call = prepare<Sig, R>(f);
    call->chunk_size = static_cast<std::uint64_t>(flags_.chunksize);
    detail::submit_map<Sig>(call, lifetime, std::forward<Ranges>(ranges)...);
    return call;
  }

  std::shared_ptr<detail::Controller> controller_;
  std::vector<int> engines_;
  bool all_ = false;
  Flags flags_;
};

}  // namespace rankview
