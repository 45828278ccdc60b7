// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/execute.hpp>
#include <rankview/detail/imap_elements.hpp>
#include <rankview/detail/map_reduce.hpp>
#include <rankview/detail/view.hpp>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace rankview::inline abi_0_1 {

class LoadBalancedView;
class TeamView;

namespace detail {

// The verbs of views that leave it to the scheduler where a task runs. `View` says among whom.
template <class View>
class BalancedVerbs {
 public:
  /// Calls `f(arguments...)` once and gives its `R`. An argument may be the result of another call, an `AsyncResult<T>` for a `T`: the task
  /// runs when it is there. What apply() gave as a vector of trivially copyable elements or a string of 32 kB or more stays on its engine,
  /// too, while it is among the latest 128 MiB of these; the task then goes to that engine if it has nothing to do, and finds it in place.
  /// From elsewhere results come by way of rank 0.
  template <class... A, class F = callable_t<A...>>
  auto apply(F f, A&&... arguments) const {
    using M = Made<F, A...>;
    if constexpr (!M::accepted) {
      return Refused();
    } else {
      return AsyncResult<typename M::Result>(make<typename M::Sig, typename M::Result>(f, Lifetime::result, std::forward<A>(arguments)...));
    }
  }
  template <class... A, class F = callable_t<A...>>
  auto apply_sync(F f, A&&... arguments) const {
    using M = Made<F, A...>;
    if constexpr (!M::accepted) {
      return Refused();
    } else {
      return take_result<typename M::Result>(*make<typename M::Sig, typename M::Result>(f, Lifetime::call, std::forward<A>(arguments)...));
    }
  }
  template <class... A, class F = callable_t<A...>>
  auto apply_async(F f, A&&... arguments) const {
    return apply(std::move(f), std::forward<A>(arguments)...);
  }

  /// One task an element, in any order; results in element order. Any input range will do: map() has read it when it returns, map_sync()
  /// reads as it goes, some tens of thousands of elements ahead of the engines. Several ranges go in step: those that know their length
  /// must have the same, else UsageError before anything is sent; one without an end, rv::repeat(x) say, goes with any.
  template <class... Ranges, class F = callable_t<Ranges...>>
  auto map(F f, Ranges&&... ranges) const {
    using M = MadeMap<true, F, Ranges...>;
    if constexpr (!M::accepted) {
      return Refused();
    } else {
      return AsyncResult<many_t<typename M::Result>>(
          make_map<typename M::Sig, typename M::Result>(f, Lifetime::result, std::forward<Ranges>(ranges)...));
    }
  }
  template <class... Ranges, class F = callable_t<Ranges...>>
  auto map_sync(F f, Ranges&&... ranges) const {
    using M = MadeMap<true, F, Ranges...>;
    if constexpr (!M::accepted) {
      return Refused();
    } else {
      return take_result<many_t<typename M::Result>>(
          *make_map<typename M::Sig, typename M::Result>(f, Lifetime::call, std::forward<Ranges>(ranges)...));
    }
  }
  template <class... Ranges, class F = callable_t<Ranges...>>
  auto map_async(F f, Ranges&&... ranges) const {
    return map(std::move(f), std::forward<Ranges>(ranges)...);
  }
  /// The same of what is written out: `map(f, {1, 2, 3})`.
  template <class... None, class E, class F = callable_t<None...>>
  auto map(F f, std::initializer_list<E> elements) const {
    return map(std::move(f), std::span<const E>(elements.begin(), elements.size()));
  }
  template <class... None, class E, class F = callable_t<None...>>
  auto map_sync(F f, std::initializer_list<E> elements) const {
    return map_sync(std::move(f), std::span<const E>(elements.begin(), elements.size()));
  }
  template <class... None, class E, class F = callable_t<None...>>
  auto map_async(F f, std::initializer_list<E> elements) const {
    return map(std::move(f), elements);
  }

  /// `f` of each element, folded into one value by `op(R, R)`, which is associative and need not be commutative: element order is kept.
  /// Engines fold what they were handed together, so that for short tasks little travels. Numbers may be grouped in another way each time.
  /// If any task fails, get() throws CompositeError. What `op` throws on an engine is an error of the tasks that were folded there; on rank
  /// 0 it is what get() throws. Of no elements there is no value: UsageError.
  template <class... Ranges, class F = callable_t<Ranges...>, class Op = callable_t<Ranges...>>
  auto map_reduce(F f, Op op, Ranges&&... ranges) const {
    using M = MadeMap<true, F, Ranges...>;
    if constexpr (!accepts_fold<M, Op>()) {
      return Refused();
    } else {
      return AsyncResult<typename M::Result>(
          make_reduce<typename M::Sig, typename M::Result>(f, op, Lifetime::result, std::forward<Ranges>(ranges)...));
    }
  }
  template <class... Ranges, class F = callable_t<Ranges...>, class Op = callable_t<Ranges...>>
  auto map_reduce_sync(F f, Op op, Ranges&&... ranges) const {
    using M = MadeMap<true, F, Ranges...>;
    if constexpr (!accepts_fold<M, Op>()) {
      return Refused();
    } else {
      return take_result<typename M::Result>(
          *make_reduce<typename M::Sig, typename M::Result>(f, op, Lifetime::call, std::forward<Ranges>(ranges)...));
    }
  }

  /// One task an element, read as results are taken: `imap(f, ranges...)` or `imap(f, ranges..., max_outstanding)` gives an ImapRange of
  /// results in element order, with at most `max_outstanding` tasks whose results were not taken; the default is four for each engine
  /// (or team), and short tasks want more. Any input range will do, an endless one, too; several go in step as in map(). An
  /// rvalue is moved in; an lvalue is borrowed, and must stay alive and unchanged until the results have been taken. `chunksize` has no
  /// part in it. Throws UsageError for a `max_outstanding` of zero or less.
  template <class... A, class F = callable_t<A...>>
  [[nodiscard]] auto imap(F f, A&&... ranges) const {
    return make_imap<true>(self(), std::move(f), std::forward_as_tuple(std::forward<A>(ranges)...));
  }
  /// The same, giving `(index, value)` in the order in which tasks end.
  template <class... A, class F = callable_t<A...>>
  [[nodiscard]] auto imap_unordered(F f, A&&... ranges) const {
    return make_imap<false>(self(), std::move(f), std::forward_as_tuple(std::forward<A>(ranges)...));
  }

  /// Compiles C++ source on rank 0 and runs it on one engine, as a task like any other. See DirectView::execute(); variables have the types
  /// that they have on the engine that is free first.
  template <class T = void>
  auto execute(std::string code) const {
    return begin_execute<T>({std::move(code), code_name}).result;
  }
  template <class T = void>
  T execute_sync(std::string code) const {
    return end_execute(begin_execute<T>({std::move(code), code_name}));
  }
  /// The same of a file, which is read here and now: its lines are told by `path`. `args` in it is a `std::vector<std::string>` with
  /// `arguments`; if it defines main(), that is called with them, last. Throws UsageError if it cannot be read.
  template <class T = void>
  auto run(const std::string& path, std::vector<std::string> arguments = {}) const {
    return begin_execute<T>(source_of(path, std::move(arguments))).result;
  }
  template <class T = void>
  T run_sync(const std::string& path, std::vector<std::string> arguments = {}) const {
    return end_execute(begin_execute<T>(source_of(path, std::move(arguments))));
  }

  /// Gives up what was submitted through this view, its copies and those that with() made of it, and has not ended: see
  /// AsyncResult::abort().
  void abort() const { abort_view(*controller_, number_); }
  /// Gives up these, as Client::abort() does.
  void abort(const Dependency& tasks) const { detail::abort(*controller_, tasks); }

  /// A copy of the view that makes its calls with these flags, too. What is not named here is as it was; `.retries = {}` gives a flag its
  /// default back.
  // NOLINTNEXTLINE(performance-unnecessary-value-param): they are moved from
  [[nodiscard]] View with(Flags flags) const {
    View copy = self();
    copy.flags_.add(std::move(flags));
    return copy;
  }

  /// What the view's engines have to do and hold, as rank 0 knows it now.
  [[nodiscard]] QueueStatus queue_status() const { return detail::queue_status(*controller_, self().targets()); }

 protected:
  explicit BalancedVerbs(std::shared_ptr<Controller> controller) : controller_(std::move(controller)) {}

  std::shared_ptr<Controller> controller_;
  Flags flags_;
  std::uint64_t number_ = new_view();

 private:
  template <class V, class F, class... Ranges>
  friend class Elements;

  [[nodiscard]] const View& self() const { return static_cast<const View&>(*this); }

  // The call that runs the code, and what it was made of.
  template <class T>
  auto begin_execute(SourceText source) const {
    static_assert(!std::is_same_v<View, TeamView>, "rankview: teams run callables; execute() and run() are for other views");
    View asking = self();
    asking.flags_ = flags_of_question(flags_);
    if constexpr (!std::is_void_v<T>) source.result = &typeid(T);
    const auto request = request_code(*controller_, std::move(source), self().targets(), flags_.isolation != Isolation::none);
    auto code = compiled(controller_, request, [&asking](const auto& names) { return asking.apply(TypesOf(), names); });
    auto result = apply(RunCode<T>(), code);
    note_run_at_end(request, CallOf::of(result));
    return Execution{std::move(result), std::move(code), request};
  }
  // The call for the element of an imap with this number.
  template <class Sig, class R, class F>
  auto element_call(const F& f, std::uint64_t) const {
    return prepare<Sig, R>(f);
  }
  template <class Sig, class R, class F>
  auto prepare(const F& f) const {
    View::template check<F>();
    auto call = new_call<Sig, R>(controller_, f, flags_);
    if (!flags_.checkpoint->empty()) keep_in_checkpoint<Sig, R, F>(*call, flags_);
    prepare_balanced(*call);
    return call;
  }
  void prepare_balanced(Call& call) const {
    call.spread = Spread::pool;
    call.view = number_;
    set_balanced_terms(call, flags_);
    self().place(call);
  }
  void set_chunks(Call& call) const {
    if (flags_.chunksize <= 0) throw UsageError("chunksize must be at least 1, and is " + std::to_string(flags_.chunksize));
    call.chunk_size = static_cast<std::uint32_t>(flags_.chunksize);
  }
  template <class Sig, class R, class F, class... A>
  auto make(const F& f, Lifetime lifetime, A&&... arguments) const {
    auto call = prepare<Sig, R>(f);
    submit_apply<R, Sig>(call, lifetime, std::forward<A>(arguments)...);
    return call;
  }
  template <class Sig, class R, class F, class... Ranges>
  auto make_map(const F& f, Lifetime lifetime, Ranges&&... ranges) const {
    auto call = prepare<Sig, R>(f);
    set_chunks(*call);
    call->ordered = flags_.ordered;
    submit_map<Sig>(call, lifetime, std::forward<Ranges>(ranges)...);
    return call;
  }

  template <class Sig, class R, class F, class Op, class... Ranges>
  auto make_reduce(const F& f, const Op& op, Lifetime lifetime, Ranges&&... ranges) const {
    static_assert(std::is_same_v<View, LoadBalancedView>, "rankview: teams do not fold; use map()");
    View::template check<F>();
    check_open(*controller_);
    check_no_checkpoint(flags_);
    check_not_isolated(flags_, "map_reduce() folds on engines what tasks return; use map(), and fold what it gives");
    auto call = make_call<MapReduced<R, Op>>(op);
    call->controller = controller_;
    call->function = MapReduce<F, Op, Sig, R>::function(f, op);
    set_label(*call, flags_.label);
    call->composite = true;
    prepare_balanced(*call);
    set_chunks(*call);
    submit_items<Source<Ranges>...>(Sig(), call, lifetime, Source<Ranges>::range(ranges)...);
    return call;
  }
};

}  // namespace detail

/// Engines as a pool: each task runs on whichever of them is free first (least load). Of one priority, tasks that one
/// thread submits start in the order of submission; those of different threads take turns. A cheap value; usable from several threads at
/// once.
///
/// Cost: short tasks are handed out many at a time, as measured durations allow, so that a task costs a fraction of a microsecond; long
/// ones travel alone. On rank 0 a waiting task takes its encoded arguments, its result and some 40 bytes.
class LoadBalancedView : public detail::BalancedVerbs<LoadBalancedView> {
 public:
  /// Over all live engines.
  explicit LoadBalancedView(std::shared_ptr<detail::Controller> controller) : BalancedVerbs(std::move(controller)), all_(true) {}
  /// Over these.
  LoadBalancedView(std::shared_ptr<detail::Controller> controller, std::vector<int> engines)
      : BalancedVerbs(std::move(controller)), engines_(std::move(engines)) {}

  /// The engines that may run its tasks.
  [[nodiscard]] std::vector<int> targets() const {
    return all_ ? detail::live_engines(*controller_) : detail::still_live(*controller_, engines_);
  }
  [[nodiscard]] std::size_t size() const { return targets().size(); }

 private:
  friend BalancedVerbs;

  template <class F>
  static void check() {
    static_assert(!detail::takes_communicator<F>,
                  "rankview: a callable that wants a communicator needs engines that run it together; use a DirectView or team_view()");
  }
  void place(detail::Call& call) const {
    if (!flags_.targets->empty()) {
      call.engines = detail::chosen(targets(), detail::resolve(*controller_, flags_.targets));
    } else if (!all_) {
      call.engines = detail::still_live(*controller_, engines_);
      call.nobody = engines_.empty();
    }
  }

  bool all_ = false;
  std::vector<int> engines_;
};

/// Teams of engines as a pool: each task runs on one team, all its engines together as one MPI program, `f(communicator, arguments...)`.
/// The result of a task is that of its team's first engine, and a task whose callable throws on any of them has failed. A cheap value;
/// usable from several threads at once.
///
/// Teams are made of consecutive engines once, and used again for every task; what does not fill a team is left over and has no part. A
/// team begins its next task when its first engine is free and the others have come to it. A team one of whose members has thrown gets a
/// new communicator for its next task. If others then wait in MPI for the one that threw, nothing can free them: when they have not
/// ended within `Options::team_grace`, the job ends with an error that names the task and why it failed.
///
/// When one of a team dies, its task is run again by another team (Flags::on_engine_death), as soon as the others have ended it: those that
/// wait in MPI for the dead one cannot be freed, and end with it after `Options::team_grace`, which counts as one death of the task. Other
/// teams run what was left, and if none is whole, teams are dealt anew from the view's engines that live.
class TeamView : public detail::BalancedVerbs<TeamView> {
 public:
  /// \param engines  resolved ids, dealt out to teams in this order
  /// \param ranks    engines a team; UsageError if there are not as many
  TeamView(std::shared_ptr<detail::Controller> controller, std::vector<int> engines, int ranks)
      : BalancedVerbs(std::move(controller)), engines_(std::move(engines)), ranks_(ranks) {
    static_cast<void>(teams());
  }

  /// The engines of each team. When one has died, teams are dealt anew from the others. Throws UsageError if they are too few for one.
  [[nodiscard]] std::vector<std::vector<int>> teams() const {
    const std::vector<int> live = detail::still_live(*controller_, engines_);
    const auto count = static_cast<std::ptrdiff_t>(live.size());
    if (ranks_ < 1 || ranks_ > count) throw UsageError("a team of " + std::to_string(ranks_) + " engines out of " + std::to_string(count));
    std::vector<std::vector<int>> teams;
    for (auto at = live.begin(); live.end() - at >= ranks_; at += ranks_) teams.emplace_back(at, at + ranks_);
    return teams;
  }
  /// Engines that are in no team.
  [[nodiscard]] std::vector<int> leftover() const {
    const std::vector<int> live = detail::still_live(*controller_, engines_);
    return {live.end() - static_cast<std::ptrdiff_t>(live.size() % static_cast<std::size_t>(ranks_)), live.end()};
  }
  /// The engines that run its tasks.
  [[nodiscard]] std::vector<int> targets() const {
    std::vector<int> engines;
    for (const auto& team : teams()) engines.insert(engines.end(), team.begin(), team.end());
    return engines;
  }
  /// How many teams there are.
  [[nodiscard]] std::size_t size() const { return teams().size(); }

 private:
  friend BalancedVerbs;

  template <class F>
  static void check() {
    static_assert(detail::takes_communicator<F>,
                  "rankview: the tasks of a team_view() run on several engines together; the callable's first parameter must be a "
                  "const boost::mpi::communicator&");
  }
  void place(detail::Call& call) const {
    detail::check_team_flags(flags_);
    call.spread = detail::Spread::teams;
    call.engines = detail::still_live(*controller_, engines_);
    set_teams(call, teams());
    call.communicator = true;
  }

  std::vector<int> engines_;
  int ranks_;
};

}  // namespace rankview
