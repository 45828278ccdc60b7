// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/codec.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

// Results as arguments. An engine keeps the long results that it has made last, so that a task there that wants one as an argument need not
// be sent it.
namespace rankview::detail {

// A container that holds its elements in one block of memory, and travels as that.
template <class T>
struct is_block : std::false_type {};
template <class T, class A>
struct is_block<std::vector<T, A>> : std::bool_constant<Bulk<T>> {};
template <class C, class Traits, class A>
struct is_block<std::basic_string<C, Traits, A>> : std::true_type {};

// An engine does not have the result of a call any more.
struct ResultGone {
  std::uint64_t call = 0;
};

// For a task: the result of a call that the engine has made and kept, as it was returned. Throws ResultGone if it is not there, or of
// another type.
std::shared_ptr<const void> kept_result(std::uint64_t call, const std::type_info& type);

// A long result on its way to become an argument: the value, or the number of the call whose result the engine has. T is a block, of which
// a copy is as good as what was sent and read.
template <class T>
class FromResult {
 public:
  explicit FromResult(T value) : own_(std::move(value)) {}
  explicit FromResult(std::shared_ptr<const T> kept) : kept_(std::move(kept)) {}

  // To be looked at, in place.
  const T& look() const { return kept_ ? *kept_ : *own_; }
  // To be had.
  T& own() {
    if (kept_) own_.emplace(*std::exchange(kept_, nullptr));
    return *own_;
  }

 private:
  std::optional<T> own_;
  std::shared_ptr<const T> kept_;
};

template <class T>
struct codec<FromResult<T>> {
  static constexpr bool sends = true;

  static void save(Writer& out, const T& value) {
    out.value(std::uint8_t{0});
    codec<T>::save(out, value);
  }
  static void save(Writer& out, std::uint64_t call) {
    out.value(std::uint8_t{1});
    out.value(call);
  }
  static FromResult<T> load(Reader& in) {
    if (in.value<std::uint8_t>() == 0) return FromResult<T>(codec<T>::load(in));
    return FromResult<T>(std::static_pointer_cast<const T>(kept_result(in.value<std::uint64_t>(), typeid(T))));
  }
};

}  // namespace rankview::detail
