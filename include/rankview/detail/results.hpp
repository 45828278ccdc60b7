// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/call.hpp>
#include <rankview/detail/plain.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace rankview::inline abi_0_1::detail {

// Where the results of one call are put together. `R` is what each task returns.
template <class R>
class Slots : public Call {
 public:
  // std::vector<bool> has no elements to write to one by one, and some types cannot be made before their value is there, or get another.
  static constexpr bool boxed = std::is_same_v<R, bool> || !std::is_default_constructible_v<R> || !std::is_move_assignable_v<R>;
  using Slot = std::conditional_t<boxed, std::optional<R>, R>;

  Slots() : Call(is_plain<R>::value) {}

  void grow(std::uint64_t count, std::uint64_t expected) override {
    if (!multiple) return;
    std::vector<Slot>& slots = slots_.edit();
    if (count > slots.capacity()) slots.reserve(std::max(count, expected));
    slots.resize(count);
  }
  void discard() noexcept override {
    slots_.reset();
    std::destroy_at(&only_);  // what is large has no copy on the stack
    std::construct_at(&only_);
  }

  const R& at(std::size_t item) const {
    const Slot& slot = multiple ? (*slots_)[item] : only_;
    if constexpr (boxed) {
      return *slot;
    } else {
      return slot;
    }
  }
  R take(std::size_t item) {
    if constexpr (boxed) {
      return std::move(*slot(item));
    } else {
      return std::move(slot(item));
    }
  }

  // All of them; the call must be done, without errors.
  const std::vector<R>& all() {
    if constexpr (boxed) {
      std::call_once(unboxed_, [this] {
        whole_.reserve(slots_->size());
        for (const Slot& slot : *slots_) whole_.push_back(*slot);
      });
      return whole_;
    } else {
      return *slots_;
    }
  }
  std::vector<R> take_all() {
    all();
    if constexpr (boxed) {
      return std::move(whole_);
    } else {
      return std::move(slots_.edit());
    }
  }

 protected:
  // Where the result of an item goes: a single one lies in the call.
  Slot& slot(std::size_t item) { return multiple ? slots_.edit()[item] : only_; }

 private:
  struct Nothing {};

  Slot only_{};
  Rare<std::vector<Slot>> slots_;
  std::conditional_t<boxed, std::vector<R>, Nothing> whole_;
  std::conditional_t<boxed, std::once_flag, Nothing> unboxed_;
};

// Those that engines send.
template <class R>
class Results : public Slots<R> {
 public:
  void load(std::uint64_t item, Reader& in) override {
    if constexpr (Slots<R>::boxed) {
      this->slot(item).emplace(codec<R>::load(in));
    } else {
      read(in, this->slot(item));
    }
  }
  void save(std::uint64_t item, Writer& out) override { codec<R>::save(out, this->at(item)); }
};

// Tasks without a result.
template <>
class Results<void> : public Call {
 public:
  Results() : Call(true) {}

  void grow(std::uint64_t, std::uint64_t) override {}
  void load(std::uint64_t, Reader&) override {}
  void save(std::uint64_t, Writer&) override {}
  void discard() noexcept override {}
};

inline Deadline deadline_from(std::chrono::steady_clock::time_point now, std::chrono::duration<double> timeout) {
  // Beyond what the clock can count is for ever.
  if (timeout > std::chrono::hours(24 * 365 * 100)) return std::nullopt;
  return now + std::chrono::duration_cast<std::chrono::steady_clock::duration>(timeout);
}

// The time that deadlines are compared with.
std::chrono::steady_clock::time_point deadline_clock();

template <class Rep, class Period>
Deadline deadline_after(std::chrono::duration<Rep, Period> timeout) {
  return deadline_from(deadline_clock(), timeout);
}

// What the value type of an AsyncResult says of the tasks behind it.
template <class T>
struct Shape {
  using State = Call;
  using Element = T;
  using Reference = const T&;
  static constexpr auto npos = static_cast<std::size_t>(-1);

  static Slots<T>& single(Call& call) { return static_cast<Slots<T>&>(call); }
  static const T& value(Call& call) { return single(call).at(0); }
  static T take(Call& call) { return single(call).take(0); }
  static std::size_t count(Call&) { return 1; }
  static std::size_t await_count(Call&, std::size_t) { return 1; }
  static void await(Call& call, std::size_t) { wait(call, {}); }
  static const T& await_element(Call& call, std::size_t) {
    wait(call, {});
    rethrow(call);
    return value(call);
  }
  static const T& element(Call& call, std::size_t) { return value(call); }
  static std::exception_ptr error(Call& call, std::size_t) { return error_of(call); }
  static const T& task_value(Call& call, std::size_t i) { return await_element(call, i); }
};

template <>
struct Shape<void> {
  using State = Call;
  using Element = std::monostate;
  using Reference = std::monostate;
  static constexpr auto npos = static_cast<std::size_t>(-1);

  static std::size_t count(Call& call) { return item_count(call); }
  static std::size_t await_count(Call& call, std::size_t) { return count(call); }
  static void await(Call& call, std::size_t i) { wait(call, i, {}); }
  static std::monostate await_element(Call& call, std::size_t i) {
    await(call, i);
    if (auto error = error_of(call, i)) std::rethrow_exception(error);
    return {};
  }
  static std::monostate element(Call&, std::size_t) { return {}; }
  static std::exception_ptr error(Call& call, std::size_t i) { return error_of(call, i); }
  static std::monostate task_value(Call& call, std::size_t i) { return await_element(call, i); }
};

// A list: of one result per task, or the elements of the single task's result.
template <class R>
struct Shape<std::vector<R>> {
  using State = Call;
  using Element = R;
  using Reference = std::conditional_t<std::is_same_v<R, bool>, bool, const R&>;
  static constexpr auto npos = static_cast<std::size_t>(-1);

  static Slots<R>& many(Call& call) { return static_cast<Slots<R>&>(call); }
  static Slots<std::vector<R>>& single(Call& call) { return static_cast<Slots<std::vector<R>>&>(call); }

  static const std::vector<R>& value(Call& call) { return call.multiple ? many(call).all() : single(call).at(0); }
  static std::vector<R> take(Call& call) { return call.multiple ? many(call).take_all() : single(call).take(0); }
  static std::size_t count(Call& call) {
    if (call.multiple) return item_count(call);
    return failed(call) ? 1 : value(call).size();
  }
  static std::size_t await_count(Call& call, std::size_t) {
    if (!call.multiple) wait(call, {});
    return count(call);
  }
  static void await(Call& call, std::size_t i) {
    if (call.multiple) {
      wait(call, i, {});
    } else {
      wait(call, {});
    }
  }
  static Reference await_element(Call& call, std::size_t i) {
    await(call, i);
    if (auto error = Shape::error(call, i)) std::rethrow_exception(error);
    return element(call, i);
  }
  static Reference element(Call& call, std::size_t i) { return call.multiple ? many(call).at(i) : Reference(value(call)[i]); }
  static std::exception_ptr error(Call& call, std::size_t i) { return call.multiple ? error_of(call, i) : error_of(call); }
  // By task, not by element.
  static R task_value(Call& call, std::size_t i) { return await_element(call, i); }
};

}  // namespace rankview::detail
