// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <utility>

namespace rankview::inline abi_0_1::detail {

// What few of many objects have: the room of a pointer until it is first written to, and reads as a T{} until then. T may be incomplete
// where nothing is done to it. (Every program that makes a call instantiates some of these, and std::unique_ptr would be most of that.)
template <class T>
class Rare {
 public:
  Rare() = default;
  Rare(Rare&& other) noexcept : value_(std::exchange(other.value_, nullptr)) {}
  Rare& operator=(Rare&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~Rare() { delete value_; }

  const T& operator*() const { return value_ != nullptr ? *value_ : none(); }
  const T* operator->() const { return &**this; }
  // To be written to.
  T& edit() {
    if (value_ == nullptr) value_ = new T();
    return *value_;
  }
  void reset() { delete std::exchange(value_, nullptr); }
  // Whether it was ever written to.
  explicit operator bool() const noexcept { return value_ != nullptr; }

 private:
  static const T& none() {
    static const T value{};
    return value;
  }

  T* value_ = nullptr;
};

}  // namespace rankview::detail
