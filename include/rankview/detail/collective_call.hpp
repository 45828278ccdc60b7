// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/view.hpp>
#include <rankview/errors.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <ranges>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

// What the collective verbs of views share. Each verb is a type with a static run(Invocation&), its task on the engines, and a function
// that makes the call on rank 0.
namespace rankview::inline abi_0_1::detail {

template <class Verb>
inline constexpr Thunk verb_thunk{&Verb::run, nullptr};

// Whose call it is, and on which engines.
struct Caller {
  std::shared_ptr<Controller> controller;
  const Flags& flags;
  std::vector<int> engines;
  std::uint64_t view;
  bool composite;   // a view of several, whose failures are told together
  bool unattended;  // nobody is about to wait for the call
};

// Has the call run `Verb` on each engine.
template <class Verb>
void prepare_verb_call(Call& call, const Caller& caller) {
  check_open(*caller.controller);
  call.controller = caller.controller;
  call.function.thunk = &verb_thunk<Verb>;
  set_label(call, caller.flags.label);
  call.view = caller.view;
  set_collective_terms(call, caller.flags);
  call.engines = caller.engines;
  call.composite = caller.composite;
  call.spread = Spread::each;
  call.same_arguments = true;
}

// The same for engines that do it together, and with rank 0.
template <class Verb>
void prepare_collective(Call& call, const Caller& caller, RootPart::Kind kind) {
  prepare_verb_call<Verb>(call, caller);
  call.spread = Spread::together;
  call.root.edit().kind = kind;
}

// A new call; `C` is where its result is put together.
template <class Verb, class C>
std::shared_ptr<C> new_collective(const Caller& caller, RootPart::Kind kind) {
  auto call = make_call<C>();
  prepare_collective<Verb>(*call, caller, kind);
  return call;
}

// An argument of a verb. None of them may be attached, since nobody keeps them until they are sent.
inline void save_term(Writer& out, std::string_view name) { out.text(name); }
template <class A>
requires(fixed_size<A> != 0) void save_term(Writer& out, const A& argument) { codec<A>::save(out, argument); }

// Submits a call whose arguments are the same everywhere.
template <class... A>
void submit_verb(const std::shared_ptr<Call>& call, const Caller& caller, const A&... arguments) {
  Submission submission(call, std::nullopt);
  Writer& out = submission.begin_item(0);
  (save_term(out, arguments), ...);
  submission.end_item();
  submission.finish(caller.unattended);
}

// A name as an error shows it.
inline std::string quoted(std::string_view verb, std::string_view name) { return std::string(verb) + " of \"" + std::string(name) + "\""; }

// Where an engine puts `count` elements of the container V that shall be variable `name`: into that itself if it has the size, else into a
// new one, which takes its place with commit().
template <class V>
class Destination {
 public:
  Destination(Group& group, std::string_view name, std::uint64_t count, bool in_place = true) : group_(group), name_(name) {
    if (in_place) there_ = this_engine::vars().find<V>(name);
    if (there_ != nullptr && there_->size() != count) there_ = nullptr;
    if (there_ != nullptr) {
      group_.keep(this_engine::vars().raw(name).value);
      return;
    }
    fresh_ = std::make_shared<V>();
    fresh_->resize(static_cast<std::size_t>(count));
    group_.keep(fresh_);
  }
  Destination(const Destination&) = delete;
  Destination& operator=(const Destination&) = delete;
  // Half written, it is no value.
  ~Destination() {
    if (there_ != nullptr && group_.broken()) this_engine::vars().erase(name_);
  }
  [[nodiscard]] auto* data() { return (there_ != nullptr ? *there_ : *fresh_).data(); }
  void commit() {
    if (there_ == nullptr) this_engine::vars().put(name_, variable_type<V>, fresh_);
    there_ = nullptr;
  }

 private:
  Group& group_;
  std::string_view name_;
  V* there_ = nullptr;
  std::shared_ptr<V> fresh_;
};

// A variable that MPI reads from.
inline void keep_variable(Group& group, std::string_view name) { group.keep(this_engine::vars().raw(name).value); }

// A value that MPI reads from or writes to.
template <class T>
T& kept_value(Group& group, T value) {
  const auto kept = std::make_shared<T>(std::move(value));
  group.keep(kept);
  return *kept;
}

// The elements that variable `name` contributes to a collective: those of a vector, or the one that it is.
template <class T>
std::span<T> elements_of(Group& group, std::string_view name) {
  keep_variable(group, name);
  Variables& vars = this_engine::vars();
  if (auto* const one = vars.find<T>(name)) return {one, 1};
  return vars.get<std::vector<T>>(name);
}

// ---- caller's ranges ---------------------------------------------------------------------------------------------------------

// A range argument as contiguous elements: where the caller has them, if they stay there for as long as the lifetime asks for, else in a
// vector that `kept` owns.
template <class Range>
class Contiguous {
  static_assert(Source<Range>::readable, "rankview: scatter() wants a range: a container, a span or a view; push() stores one value");
  using Plain = unborrowed_t<Range>;
  using Given = Source<Range>;

 public:
  using Value = std::remove_cv_t<typename Given::Element>;
  static constexpr bool bulk = Bulk<Value>;

  Contiguous(std::remove_reference_t<Range>& given, Lifetime lifetime) {
    auto& range = Given::range(given);
    constexpr bool in_memory = std::ranges::contiguous_range<decltype(range)> && std::ranges::sized_range<decltype(range)>;
    if constexpr (in_memory) {
      if (Given::borrowed || lifetime == Lifetime::call) {
        elements = {std::ranges::data(range), static_cast<std::size_t>(std::ranges::size(range))};
        return;
      }
      if constexpr (Given::consumed && std::is_move_constructible_v<Plain>) {
        const auto moved = std::make_shared<const Plain>(std::move(range));
        elements = {std::ranges::data(*moved), static_cast<std::size_t>(std::ranges::size(*moved))};
        kept = moved;
        return;
      }
    }
    if constexpr (!std::is_same_v<Value, bool>) {
      auto copied = std::make_shared<std::vector<Value>>();
      if constexpr (std::ranges::sized_range<decltype(range)>) copied->reserve(static_cast<std::size_t>(std::ranges::size(range)));
      for (auto&& element : range) copied->emplace_back(std::forward<decltype(element)>(element));
      elements = *copied;
      kept = std::move(copied);
    } else {
      // std::vector<bool> has no elements to point to.
      auto copied = std::make_shared<std::vector<char>>();
      for (const bool element : range) copied->push_back(element ? 1 : 0);
      flags = *copied;
      kept = std::move(copied);
    }
  }

  [[nodiscard]] std::size_t size() const {
    if constexpr (std::is_same_v<Value, bool>) {
      return flags.empty() ? elements.size() : flags.size();
    } else {
      return elements.size();
    }
  }
  void save(Writer& out, std::size_t i) const {
    if constexpr (std::is_same_v<Value, bool>) {
      codec<bool>::save(out, flags.empty() ? elements[i] : flags[i] != 0);
    } else {
      codec<Value>::save(out, elements[i]);
    }
  }

  std::span<const Value> elements;
  std::span<const char> flags;
  std::shared_ptr<const void> kept;
};

}  // namespace rankview::detail
