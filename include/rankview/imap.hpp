// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/imap_window.hpp>
#include <rankview/detail/results.hpp>

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <variant>

namespace rankview::inline abi_0_1 {

/// The results of imap() and imap_unordered(): an input range that reads its elements, and has them worked on, as results are taken. Of
/// `R`, or unordered of `std::pair<std::size_t, R>`; where tasks return nothing, `R` is std::monostate.
///
/// At most `max_outstanding` tasks have been submitted whose results were not taken, so memory is bounded however long the input is. A
/// result that is there goes before the reading of another element, for that may take its time. Nothing is read before begin().
///
/// Dereferencing waits for the result, and throws the task's error if it failed, after which the iterator can be moved on. It gives a
/// reference to a value that may be moved out and lives until the iterator moves on. What the input throws is thrown as itself, in the
/// place after the results of all elements that were read before; that is the last place.
///
/// Can be moved, not copied, and read once. When it goes, what is outstanding is given up, as AsyncResult::abort() does. For one thread at
/// a time. Cost: each task is a call of its own, about a microsecond on rank 0; a callable's state travels with every task.
template <class R, bool in_order>
class ImapRange : public std::ranges::view_base {
  using Value = typename std::conditional_t<std::is_void_v<R>, std::type_identity<std::monostate>, std::type_identity<R>>::type;
  struct Place;

 public:
  using value_type = std::conditional_t<in_order, Value, std::pair<std::size_t, Value>>;

  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using iterator_category = std::input_iterator_tag;
    using value_type = ImapRange::value_type;
    using difference_type = std::ptrdiff_t;
    using reference = value_type&;
    using pointer = void;

    iterator() = default;

    reference operator*() const { return place_->value(); }
    iterator& operator++() {
      place_->value_.reset();
      place_->window.advance();
      return *this;
    }
    void operator++(int) { ++*this; }
    /// Which element the next dereference is about, also if its task failed; unordered, it waits to know. At the place where the input
    /// threw, it throws that.
    [[nodiscard]] std::size_t index() const { return static_cast<std::size_t>(place_->window.index()); }
    friend bool operator==(const iterator& at, std::default_sentinel_t) { return at.place_->window.over(); }

   private:
    friend ImapRange;
    explicit iterator(Place* place) : place_(place) {}

    Place* place_ = nullptr;
  };

  /// For the views that make it.
  ImapRange(std::unique_ptr<detail::TaskSource> source, std::uint64_t max_outstanding)
      : place_(std::make_unique<Place>(std::move(source), max_outstanding)) {}

  /// Where the range has come to; the first time, reads the first elements.
  [[nodiscard]] iterator begin() {
    place_->window.start();
    return iterator(place_.get());
  }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  // Stays where it is when the range is moved.
  struct Place {
    Place(std::unique_ptr<detail::TaskSource> source, std::uint64_t most) : window(std::move(source), most, in_order) {}

    value_type& value() {
      if (!value_) {
        detail::Call& call = window.settle();
        detail::rethrow(call);
        if constexpr (in_order) {
          value_.emplace(take(call));
        } else {
          value_.emplace(static_cast<std::size_t>(window.index()), take(call));
        }
      }
      return *value_;
    }
    static Value take([[maybe_unused]] detail::Call& call) {
      if constexpr (std::is_void_v<R>) {
        return {};
      } else {
        return static_cast<detail::Results<R>&>(call).take(0);
      }
    }

    detail::ImapWindow window;
    std::optional<value_type> value_;
  };

  std::unique_ptr<Place> place_;
};

}  // namespace rankview
