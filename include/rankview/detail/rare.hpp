// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <memory>

namespace rankview::detail {

// What few of many objects have: the room of a pointer until it is first written to, and reads as a T{} until then.
template <class T>
class Rare {
 public:
  const T& operator*() const { return value_ ? *value_ : none(); }
  const T* operator->() const { return &**this; }
  // To be written to.
  T& edit() {
    if (!value_) value_ = std::make_unique<T>();
    return *value_;
  }
  void reset() { value_.reset(); }
  // Whether it was ever written to.
  explicit operator bool() const noexcept { return value_ != nullptr; }

 private:
  static const T& none() {
    static const T value{};
    return value;
  }

  std::unique_ptr<T> value_;
};

}  // namespace rankview::detail
