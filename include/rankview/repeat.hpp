// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace rankview::inline abi_0_1 {

/// A range without end whose elements are all the same value; made by repeat(). Copies share the value.
template <class T>
class Repeat {
 public:
  class iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using reference = const T&;
    using pointer = const T*;

    iterator() = default;
    explicit iterator(const std::shared_ptr<const T>& value) noexcept : value_(&value) {}

    reference operator*() const noexcept { return **value_; }
    pointer operator->() const noexcept { return value_->get(); }
    iterator& operator++() noexcept {
      ++place_;
      return *this;
    }
    iterator operator++(int) noexcept {
      iterator before = *this;
      ++place_;
      return before;
    }
    friend bool operator==(const iterator&, const iterator&) = default;

    /// What owns the value.
    [[nodiscard]] const std::shared_ptr<const T>& owner() const noexcept { return *value_; }

   private:
    const std::shared_ptr<const T>* value_ = nullptr;
    std::size_t place_ = 0;
  };

  explicit Repeat(T value) : value_(std::make_shared<const T>(std::move(value))) {}

  [[nodiscard]] iterator begin() const noexcept { return iterator(value_); }
  [[nodiscard]] std::unreachable_sentinel_t end() const noexcept { return {}; }

 private:
  std::shared_ptr<const T> value_;
};

/// A constant for a map: `view.map(f, numbers, rv::repeat(0.2))` calls `f(number, 0.2)` for each number. Goes in step with any other range;
/// one of them must have an end. What is worked out once on rank 0 and is large is better pushed, and given as `rv::repeat(rv::ref("x"))`.
///
/// Keeps one copy of `value`, a literal as a std::string. Cost: it travels with each element.
template <class T>
[[nodiscard]] auto repeat(T&& value) {
  using Value = std::decay_t<T>;
  using Kept = std::conditional_t<std::is_same_v<Value, const char*> || std::is_same_v<Value, char*>, std::string, Value>;
  return Repeat<Kept>(Kept(std::forward<T>(value)));
}

}  // namespace rankview
