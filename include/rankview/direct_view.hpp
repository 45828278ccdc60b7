// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/among_engines.hpp>
#include <rankview/detail/execute.hpp>
#include <rankview/detail/gather.hpp>
#include <rankview/detail/imap_elements.hpp>
#include <rankview/detail/push.hpp>
#include <rankview/detail/reduce.hpp>
#include <rankview/detail/scatter.hpp>
#include <rankview/detail/view.hpp>
#include <rankview/targets.hpp>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace rankview::inline abi_0_1 {

namespace detail {

// The tasks behind some of the verbs on variables: ordinary callables, shipped like any other.
template <class T>
struct Pull {
  const T& operator()(std::string_view name) const { return this_engine::vars().get<T>(name); }
};
template <class... T>
struct PullSeveral {
  std::tuple<T...> operator()(const std::vector<std::string>& names) const { return get(names, std::index_sequence_for<T...>()); }
  template <std::size_t... I>
  static std::tuple<T...> get(const std::vector<std::string>& names, std::index_sequence<I...>) {
    return std::tuple<T...>(this_engine::vars().get<T>(names[I])...);
  }
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
  std::vector<VariableInfo> operator()() const { return this_engine::vars().list(); }
};

// A variable on the engines of a view.
template <class View>
class Subscript {
 public:
  Subscript(View view, std::string name) : view_(std::move(view)), name_(std::move(name)) {}

  template <class... None, class T = value_t<View, None...>>
  const Subscript& operator=(T&& value) const {
    view_.push_sync(name_, std::forward<T>(value));
    return *this;
  }
  template <class T = Unsaid>
  [[nodiscard]] auto get() const {
    return view_.template pull_sync<T>(name_);
  }
  template <class T>
  operator T() const {
    static_assert(never<T>, "rankview: what type the variable has must be said to read it: view[\"x\"].get<double>()");
    return Refused();
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
  ///
  /// If the first parameter of `f` is a `const boost::mpi::communicator&`, it gets one of exactly the view's engines, in target order, on
  /// which they run as one MPI program: `f(communicator, arguments...)` may use any MPI on it. They begin together, and end together. If
  /// one of them has thrown, the next call gets a new communicator. If others then wait in MPI for the one that threw, nothing can free
  /// them: when they have not ended within `Options::team_grace`, the job ends with an error that names the task and why it failed. Cost:
  /// an MPI_Iallreduce among the engines besides.
  template <class... A, class F = callable_t<A...>>
  auto apply(F f, A&&... arguments) const {
    using M = Made<F, A...>;
    if constexpr (!M::accepted) {
      return Refused();
    } else {
      return AsyncResult<Outcome<typename M::Result>>(
          make<typename M::Sig, typename M::Result>(f, Lifetime::result, std::forward<A>(arguments)...));
    }
  }
  template <class... A, class F = callable_t<A...>>
  auto apply_sync(F f, A&&... arguments) const {
    using M = Made<F, A...>;
    if constexpr (!M::accepted) {
      return Refused();
    } else {
      return take_result<Outcome<typename M::Result>>(
          *make<typename M::Sig, typename M::Result>(f, Lifetime::call, std::forward<A>(arguments)...));
    }
  }
  template <class... A, class F = callable_t<A...>>
  auto apply_async(F f, A&&... arguments) const {
    return apply(std::move(f), std::forward<A>(arguments)...);
  }

  /// Calls `f` on each element, one contiguous block of elements per engine; fewer elements than engines use only the first engines.
  /// Several ranges go in step: those that know their length must have the same, else UsageError before anything is sent; one without an
  /// end, rv::repeat(x) say, goes with any. Results come in element order, errors one by one.
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

  /// One task an element, read as results are taken, as LoadBalancedView::imap() does; the elements go to the engines in turn, element i
  /// to the i-th engine of the view and so on from the first again.
  template <class... A, class F = callable_t<A...>>
  [[nodiscard]] auto imap(F f, A&&... ranges) const {
    return make_imap<true>(self(), std::move(f), std::forward_as_tuple(std::forward<A>(ranges)...));
  }
  /// The same, giving `(index, value)` in the order in which tasks end.
  template <class... A, class F = callable_t<A...>>
  [[nodiscard]] auto imap_unordered(F f, A&&... ranges) const {
    return make_imap<false>(self(), std::move(f), std::forward_as_tuple(std::forward<A>(ranges)...));
  }

  /// Compiles C++ source on rank 0 and runs it on each engine of the view, as a task like any other, with these flags. It is what would
  /// stand in a function: statements; but functions, types, templates, constants and includes may stand among them, and are there for what
  /// is executed later, too. The engine's variables are there by name, with their types; `name = value;` at the top level makes one, or
  /// replaces it, whatever its type; what is declared otherwise (`int n = 3;`) is local. `id` and `size` are those of this_engine. With
  /// `T`, the last expression, or what is returned, is the task's value.
  ///
  /// Throws CompileError with the code's own lines. Where an engine has not got a variable that the code names, that task fails with
  /// NameError, and with TypeError where it has another type than on the first engine. In other threads than the client's the compiler is
  /// waited for; the call goes on when it has done, behind what was submitted to the engines meanwhile: use execute_sync() where the next
  /// call needs what this one makes. Cost: one message to each engine and one back for the types of variables; the compiler's time,
  /// some 0.3 s, the first time for the same code and types; and then the same as apply(), with some ten kilobytes of code for each engine
  /// that has not had it yet. What has been loaded stays loaded.
  template <class T = void>
  auto execute(std::string code) const {
    return begin_execute<T>({std::move(code), code_name}).result;
  }
  template <class T = void>
  Outcome<T> execute_sync(std::string code) const {
    return end_execute(begin_execute<T>({std::move(code), code_name}));
  }
  /// The same of a file, which is read here and now: its lines are told by `path`. `args` in it is a `std::vector<std::string>` with
  /// `arguments`; if it defines main(), that is called with them, last. Throws UsageError if it cannot be read.
  template <class T = void>
  auto run(const std::string& path, std::vector<std::string> arguments = {}) const {
    return begin_execute<T>(source_of(path, std::move(arguments))).result;
  }
  template <class T = void>
  Outcome<T> run_sync(const std::string& path, std::vector<std::string> arguments = {}) const {
    return end_execute(begin_execute<T>(source_of(path, std::move(arguments))));
  }

  // ---- data ----
  // Except for pull(), erase() and the like these are collective over the view's engines: each engine begins when it has done what it was
  // asked to before, and waits for the others. If one of them cannot take part (no such variable, another type, no memory), the call comes
  // about on none: it fails with the reasons, no variable has changed, and the view can be used as before. Waiting costs no CPU to speak
  // of, and rank 0 does other things meanwhile. Two kinds of calls are not collective, and each engine does its part by itself: push() of
  // what is short, and gather() of what must be encoded. A value that cannot be decoded on an engine is an error of that engine alone.
  //
  // Costs are told as MPI calls; besides those, each call takes a message to each engine and one back. "A vote" is an MPI_Igather and an
  // MPI_Ibcast of 16 bytes. The first call on a set of engines makes a communicator of them with rank 0, and one of them alone.

  /// Stores a copy of `value` as the variable `name` of each engine.
  ///
  /// Cost: values of less than 32 KiB travel with the call. Longer vectors and strings of trivially copyable elements take a vote and one
  /// MPI_Ibcast from the caller's memory into the engines', without a copy; into the variable's own memory where it has the type and size
  /// already. (An asynchronous call copies a vector given as an lvalue; move it in, or rv::borrow() it.) Other types are encoded first, and
  /// decoded on each engine.
  template <class T>
  auto push(std::string_view name, T&& value) const {
    return AsyncResult<void>(detail::push(caller(true), Lifetime::result, name, std::forward<T>(value)));
  }
  template <class T>
  void push_sync(std::string_view name, T&& value) const {
    take_result<void>(*detail::push(caller(false), Lifetime::call, name, std::forward<T>(value)));
  }

  /// The variable `name`, which must be a `T`: fails with NameError on engines that have none, with TypeError on those where it is
  /// something else.
  template <class T = Unsaid>
  auto pull(std::string_view name) const {
    return apply(Pull<said_t<T>>(), name);
  }
  template <class T = Unsaid>
  auto pull_sync(std::string_view name) const {
    return apply_sync(Pull<said_t<T>>(), name);
  }
  /// Several variables at once, each with its type: `pull<int, std::string>({"n", "s"})` gives a `std::tuple<int, std::string>`. Cost: one
  /// message and a copy on the engine.
  template <class... T, std::size_t N>
  requires(sizeof...(T) > 1) auto pull(const std::string_view (&names)[N]) const {
    static_assert(sizeof...(T) == N, "rankview: pull() of several variables wants a type for each name");
    return apply(PullSeveral<T...>(), std::vector<std::string>(std::begin(names), std::end(names)));
  }
  template <class... T, std::size_t N>
  requires(sizeof...(T) > 1) auto pull_sync(const std::string_view (&names)[N]) const {
    static_assert(sizeof...(T) == N, "rankview: pull() of several variables wants a type for each name");
    return apply_sync(PullSeveral<T...>(), std::vector<std::string>(std::begin(names), std::end(names)));
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
  /// The variables in alphabetical order, with their types and sizes in bytes.
  auto names() const { return apply(Names()); }
  auto names_sync() const { return apply_sync(Names()); }

  /// Deals the elements of `range` out to the engines, where each part becomes the variable `name`, a `std::vector` of the range's elements
  /// (with `flatten`, the single element itself). Any input range will do. Of n elements each of q engines gets n / q, in target order, and
  /// the first n mod q one more; those that get none have an empty vector.
  ///
  /// Throws UsageError before anything moves if `flatten` is set and there is not exactly one element for each engine.
  ///
  /// Cost: contiguous ranges of trivially copyable elements take a vote and one MPI_Iscatterv from the caller's memory into the engines'
  /// vectors, without a copy (round robin, and beyond 2^31 elements, an MPI_Isend to each with a derived datatype). Where an engine's
  /// variable is such a vector of the right size already, its memory is used again. Other elements are encoded, each part for its engine,
  /// and only take the vote. An asynchronous call copies a range given as an lvalue; move it in, or rv::borrow() it.
  template <class Range>
  auto scatter(std::string_view name, Range&& range, Layout layout = {}) const {
    return AsyncResult<void>(detail::scatter(caller(true), Lifetime::result, name, std::forward<Range>(range), layout));
  }
  template <class Range>
  void scatter_sync(std::string_view name, Range&& range, Layout layout = {}) const {
    take_result<void>(*detail::scatter(caller(false), Lifetime::call, name, std::forward<Range>(range), layout));
  }

  /// The inverse: puts the parts that the engines hold as variable `name` together, in target order or, with `rv::round_robin`, in that of
  /// the range that was scattered so. Each part is a `std::vector<T>`, or a single `T`; with `rv::block` of any size, with
  /// `rv::round_robin` of the sizes that scatter() makes, else UsageError.
  ///
  /// Cost: trivially copyable elements take a vote and one MPI_Igatherv from the engines' memory into the result (an MPI_Irecv for each as
  /// above); others are encoded and come with the engines' answers.
  template <class T = Unsaid>
  auto gather(std::string_view name, Layout layout = {}) const {
    return AsyncResult<std::vector<said_t<T>>>(detail::gather<said_t<T>>(caller(true), name, layout));
  }
  template <class T = Unsaid>
  auto gather_sync(std::string_view name, Layout layout = {}) const {
    return take_result<std::vector<said_t<T>>>(*detail::gather<said_t<T>>(caller(false), name, layout));
  }
  /// The same into memory of the caller's, which must have room for exactly as many elements as there are: UsageError otherwise. It must
  /// live until the result is ready, also when its handle has gone.
  template <class T, std::size_t N>
  auto gather_into(std::string_view name, std::span<T, N> into, Layout layout = {}) const {
    return AsyncResult<void>(detail::gather_into<T>(caller(true), name, into, layout));
  }
  template <class T, std::size_t N>
  void gather_into_sync(std::string_view name, std::span<T, N> into, Layout layout = {}) const {
    take_result<void>(*detail::gather_into<T>(caller(false), name, into, layout));
  }
  template <class T>
  auto gather_into(std::string_view name, std::vector<T>& into, Layout layout = {}) const {
    return gather_into(name, std::span<T>(into), layout);
  }
  template <class T>
  void gather_into_sync(std::string_view name, std::vector<T>& into, Layout layout = {}) const {
    gather_into_sync(name, std::span<T>(into), layout);
  }

  /// Folds the engines' variables `name`, each a `T`, with `op`: values as they are, vectors element by element (`T = std::vector<double>`,
  /// all of one length; UsageError otherwise). `op` is any associative callable; it need not be commutative, since values are folded in
  /// target order.
  ///
  /// Sums, products, `rv::min`, `rv::max` and bitwise operations of `<functional>` on arithmetic types, and logical ones on bool, are MPI's
  /// own; what is rounded is then rounded in an order that MPI chooses, the same each time for the same engines, sizes and MPI. Anything
  /// else is folded by the engines over a binomial tree, always in the same way.
  ///
  /// Cost: for a single number one MPI_Ireduce and no vote; for vectors a vote and one MPI_Ireduce for each 256 KiB; for other types and
  /// operations a vote and log2 q rounds of messages among the engines.
  template <class T = Unsaid, class Op = callable_t<T>>
  auto reduce(std::string_view name, Op op) const {
    return AsyncResult<said_t<T>>(detail::reduce<said_t<T>>(caller(true), name, op));
  }
  template <class T = Unsaid, class Op = callable_t<T>>
  auto reduce_sync(std::string_view name, Op op) const {
    return take_result<said_t<T>>(*detail::reduce<said_t<T>>(caller(false), name, op));
  }

  /// Folds all elements of the engines' variables `name`, each a `std::vector<T>` or a `T`, into one `T`: on each engine, then among them.
  /// Empty parts do not count; where all are empty a sum is 0, a product 1, and so on, and an operation without such a value fails with
  /// UsageError. Order and rounding as in reduce(). Cost: one MPI_Ireduce for operations of MPI that have such a value, and for `rv::min`,
  /// `rv::max` and others a vote and log2 q rounds of messages among the engines.
  template <class T = Unsaid, class Op = callable_t<T>>
  auto reduce_all(std::string_view name, Op op) const {
    return AsyncResult<said_t<T>>(detail::reduce_all<said_t<T>>(caller(true), name, op));
  }
  template <class T = Unsaid, class Op = callable_t<T>>
  auto reduce_all_sync(std::string_view name, Op op) const {
    return take_result<said_t<T>>(*detail::reduce_all<said_t<T>>(caller(false), name, op));
  }

  /// As reduce(), with the result as variable `into` of every engine. Cost: a vote and MPI_Iallreduce in pieces of 256 KiB, or a fold and
  /// two MPI_Ibcast.
  template <class T = Unsaid, class Op = callable_t<T>>
  auto allreduce(std::string_view name, std::string_view into, Op op) const {
    return AsyncResult<void>(detail::allreduce<said_t<T>>(caller(true), name, into, op));
  }
  template <class T = Unsaid, class Op = callable_t<T>>
  void allreduce_sync(std::string_view name, std::string_view into, Op op) const {
    take_result<void>(*detail::allreduce<said_t<T>>(caller(false), name, into, op));
  }

  /// Puts all engines' elements of `name` together, in target order, as variable `into` of each, a `std::vector<T>`. Cost: two votes, an
  /// MPI_Iallgather of sizes and an MPI_Iallgatherv.
  template <class T = Unsaid>
  auto allgather(std::string_view name, std::string_view into) const {
    return AsyncResult<void>(detail::allgather<said_t<T>>(caller(true), name, into));
  }
  template <class T = Unsaid>
  auto allgather(std::string_view name) const {
    return allgather<T>(name, name);
  }
  template <class T = Unsaid>
  void allgather_sync(std::string_view name, std::string_view into) const {
    take_result<void>(*detail::allgather<said_t<T>>(caller(false), name, into));
  }
  template <class T = Unsaid>
  void allgather_sync(std::string_view name) const {
    allgather_sync<T>(name, name);
  }

  /// Copies the variable `name` of engine `from`, one of the view's, to all others. Its type need not be told: rankview knows how to send
  /// what is trivially copyable, standard containers, and classes with a `serialize` of their own; UsageError for others. Cost: two votes
  /// and one MPI_Ibcast of the encoded value.
  auto broadcast(int from, std::string_view name) const { return AsyncResult<void>(detail::broadcast(caller(true), live(from), name)); }
  void broadcast_sync(int from, std::string_view name) const { take_result<void>(*detail::broadcast(caller(false), live(from), name)); }

  /// Ends when every engine of the view has come to it. Cost: one MPI_Ibarrier.
  auto barrier() const { return AsyncResult<void>(detail::barrier(caller(true))); }
  void barrier_sync() const { take_result<void>(*detail::barrier(caller(false))); }

  /// `view["x"] = value` pushes and waits; `view["x"].get<T>()` pulls and waits. Both throw what went wrong.
  [[nodiscard]] auto operator[](std::string name) const { return Subscript<View>(self(), std::move(name)); }

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

  /// What the view's engines have to do and hold, as rank 0 knows it now. Those that have died are left out; EngineError if all
  /// of them have.
  [[nodiscard]] QueueStatus queue_status() const { return detail::queue_status(*controller_, detail::still_live(*controller_, targets())); }

  /// The engines, in the order of results; those that a view names stay, dead or alive.
  [[nodiscard]] std::vector<int> targets() const { return self().named(); }
  [[nodiscard]] std::size_t size() const { return targets().size(); }

 protected:
  explicit DirectVerbs(std::shared_ptr<Controller> controller) : controller_(std::move(controller)) {}

  std::shared_ptr<Controller> controller_;
  Flags flags_;
  std::uint64_t number_ = new_view();

 private:
  [[nodiscard]] const View& self() const { return static_cast<const View&>(*this); }
  [[nodiscard]] Caller caller(bool unattended) const {
    return {controller_, flags_, self().engines(), number_, View::multiple, unattended};
  }
  [[nodiscard]] int live(int engine) const { return resolve(*controller_, engine); }

  // The call that runs the code, and what it was made of.
  template <class T>
  auto begin_execute(SourceText source) const {
    View asking = self();
    asking.flags_ = flags_of_question(flags_);
    if constexpr (!std::is_void_v<T>) source.result = &typeid(T);
    const auto request = request_code(*controller_, std::move(source), self().engines(), flags_.isolation != Isolation::none);
    auto code = compiled(controller_, request, [&asking](const auto& names) { return asking.apply(TypesOf(), names); });
    auto result = apply(RunCode<T>(), code);
    note_run_at_end(request, CallOf::of(result));
    return Execution{std::move(result), std::move(code), request};
  }
  template <class Sig, class R, class F, class... A>
  std::shared_ptr<Results<R>> make(const F& f, Lifetime lifetime, A&&... arguments) const {
    auto call = new_call<Sig, R>(controller_, f, flags_);
    call->view = number_;
    (takes_communicator<F> ? set_collective_terms : set_direct_terms)(*call, flags_);
    call->multiple = View::multiple;
    call->same_arguments = true;
    call->spread = takes_communicator<F> ? Spread::together : Spread::each;
    call->communicator = takes_communicator<F>;
    call->engines = self().engines();
    submit_apply<R, Sig>(call, lifetime, std::forward<A>(arguments)...);
    return call;
  }
  template <class Sig, class R, class F, class... Ranges>
  std::shared_ptr<Results<R>> make_map(const F& f, Lifetime lifetime, Ranges&&... ranges) const {
    static_assert(!takes_communicator<F>,
                  "rankview: a callable that wants a communicator is run by all engines at once; use apply(), or team_view() for many "
                  "tasks");
    auto call = new_call<Sig, R>(controller_, f, flags_);
    call->view = number_;
    set_direct_terms(*call, flags_);
    call->engines = self().engines();
    submit_map<Sig>(call, lifetime, std::forward<Ranges>(ranges)...);
    return call;
  }

  template <class V, class F, class... Ranges>
  friend class Elements;
  // The call for the element of an imap with this number.
  template <class Sig, class R, class F>
  std::shared_ptr<Results<R>> element_call(const F& f, std::uint64_t number) const {
    static_assert(!takes_communicator<F>,
                  "rankview: a callable that wants a communicator is run by all engines at once; use apply(), or team_view() for many "
                  "tasks");
    auto call = new_call<Sig, R>(controller_, f, flags_);
    call->view = number_;
    set_direct_terms(*call, flags_);
    if (const std::vector<int> engines = self().engines(); !engines.empty()) call->engines = {engines[number % engines.size()]};
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
  [[nodiscard]] std::vector<int> named() const { return {engine_}; }
  [[nodiscard]] std::vector<int> engines() const { return detail::all_live(*controller_, named()); }

  int engine_;
};

/// Several engines at once: `apply` gives a `std::vector<R>`, `pull<T>` a `std::vector<T>`, in target order, also for a view of one engine;
/// failures come together as a CompositeError. A view of no engines gives empty results, and UsageError where somebody is needed: for the
/// elements of a map or scatter, and for the value of a reduce. `rc[rv::all]` goes on with those that live when an engine dies; the calls
/// of a view that names its engines, a slice, too, throw EngineError once one of them has died. A cheap value; usable from several threads
/// at once.
class DirectView : public detail::DirectVerbs<DirectView, detail::many_t> {
 public:
  /// All live engines, whichever they are at each call.
  explicit DirectView(std::shared_ptr<detail::Controller> controller) : DirectVerbs(std::move(controller)), all_(true) {}
  DirectView(std::shared_ptr<detail::Controller> controller, std::vector<int> engines)
      : DirectVerbs(std::move(controller)), engines_(std::move(engines)) {}

 private:
  friend DirectVerbs;
  static constexpr bool multiple = true;
  // The engines that it stands for, and those that a call is made to: all of them, or EngineError.
  [[nodiscard]] std::vector<int> named() const { return all_ ? detail::live_engines(*controller_) : engines_; }
  [[nodiscard]] std::vector<int> engines() const { return all_ ? named() : detail::all_live(*controller_, engines_); }

  bool all_ = false;
  std::vector<int> engines_;
};

}  // namespace rankview
