// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <boost/container/small_vector.hpp>

#include <cstddef>
#include <utility>

namespace rankview::scheduler {

// Elements that mostly come at the end and go at the front, side by side; a single one takes no memory of its own. There are as many of
// these as there are engines, and mostly they have one element, where std::deque would take two blocks.
//
// Cost: amortised constant at both ends, linear within.
template <class T>
class Fifo {
 public:
  [[nodiscard]] std::size_t size() const { return elements_.size() - gone_; }
  T& operator[](std::size_t i) { return elements_[gone_ + i]; }
  const T& operator[](std::size_t i) const { return elements_[gone_ + i]; }
  auto begin() { return elements_.begin() + offset(0); }
  auto end() { return elements_.end(); }
  [[nodiscard]] auto begin() const { return elements_.begin() + offset(0); }
  [[nodiscard]] auto end() const { return elements_.end(); }

  T& push_back(T element) { return elements_.emplace_back(std::move(element)); }
  void insert(std::size_t i, T element) { elements_.insert(elements_.begin() + offset(i), std::move(element)); }
  void erase(std::size_t i) {
    if (i != 0) {
      elements_.erase(elements_.begin() + offset(i));
    } else if (size() == 1) {
      clear();
    } else {
      elements_[gone_++] = T();
      if (gone_ < least_gone || gone_ < size()) return;
      elements_.erase(elements_.begin(), elements_.begin() + offset(0));
      gone_ = 0;
    }
  }
  void clear() {
    elements_.clear();
    gone_ = 0;
  }

 private:
  static constexpr std::size_t least_gone = 8;

  [[nodiscard]] std::ptrdiff_t offset(std::size_t i) const { return static_cast<std::ptrdiff_t>(gone_ + i); }

  boost::container::small_vector<T, 1> elements_;
  std::size_t gone_ = 0;  // at the front
};

}  // namespace rankview::scheduler
