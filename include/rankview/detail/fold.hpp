// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/caught.hpp>
#include <rankview/detail/collective_call.hpp>
#include <rankview/detail/reduction.hpp>

#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

// Reductions that MPI has no operation for: any callable, any type.
namespace rankview::inline abi_0_1::detail {

// An operation as an argument.
template <class Op>
void save_operation(Writer& out, const Op& op) {
  if constexpr (is_by_value<Op>::value) {
    out.value(op);
  } else if constexpr (!is_stateless<Op>) {
    codec<Op>::save(out, op);
  }
}
template <class Op>
Op load_operation(Reader& in) {
  if constexpr (is_by_value<Op>::value) {
    return in.value<Op>();
  } else if constexpr (is_stateless<Op>) {
    return Op();
  } else {
    return codec<Op>::load(in);
  }
}

// What an engine hands on: a value, nothing to contribute, or that something went wrong.
enum class Partial : std::uint8_t { nothing, value, failure };

template <class T>
Writer encode_partial(Partial kind, const std::optional<T>& value) {
  Writer out;
  out.flat = true;
  out.value(kind);
  if (kind == Partial::value) codec<T>::save(out, *value);
  return out;
}
template <class T>
Partial decode_partial(std::span<const std::byte> bytes, std::optional<T>& value) {
  Reader in(bytes, Flat());
  const auto kind = in.value<Partial>();
  if (kind == Partial::value) value = codec<T>::load(in);
  return kind;
}

// One engine's part in a fold: what it has so far, and what went wrong on it or before it.
template <class T>
struct Folded {
  std::optional<T> value;
  std::exception_ptr error;  // thrown here
  bool failed = false;       // here or elsewhere

  [[nodiscard]] Partial kind() const { return failed ? Partial::failure : value ? Partial::value : Partial::nothing; }
};

// What this engine has, encoded; what cannot be encoded is a failure like any other.
template <class T>
Writer encode(Folded<T>& own) {
  try {
    return encode_partial(own.kind(), own.value);
  } catch (...) {
    own.failed = true;
    own.error = caught();
  }
  return encode_partial<T>(Partial::failure, std::nullopt);
}

// Folds the engines' values in target order, over a binomial tree of messages; the first engine ends up with all of it. `combine(a, b)`
// makes an a of both. Does not throw for what goes wrong with values, since others wait.
template <class T, class Combine>
void fold(Group& group, Folded<T>& own, Combine combine) {
  const std::size_t index = group.index();
  for (std::size_t step = 1; step < group.size(); step *= 2) {
    if (index % (2 * step) != 0) {
      const Writer& out = kept_value(group, encode(own));
      group.send(index - step, out.bytes.bytes());
      return;
    }
    if (index + step >= group.size()) continue;
    const Buffer arrived = group.receive(index + step);
    try {
      std::optional<T> other;
      const Partial kind = decode_partial(arrived.bytes(), other);
      if (kind == Partial::failure) own.failed = true;
      if (own.failed || kind == Partial::nothing) continue;
      if (own.value) {
        combine(*own.value, *other);
      } else {
        own.value = std::move(other);
      }
    } catch (...) {
      own.failed = true;
      own.error = caught();
    }
  }
}

// a = op(a, b), for values or element by element.
template <class T, class Op>
struct Combine {
  const Op& op;

  void operator()(T& a, T& b) const {
    if constexpr (Elementwise<T, Op>::arrays) {
      using Unit = typename Elementwise<T, Op>::Unit;
      for (std::size_t i = 0; i < a.size(); ++i) a[i] = std::invoke(op, static_cast<const Unit&>(a[i]), static_cast<const Unit&>(b[i]));
    } else {
      a = std::invoke(op, std::as_const(a), std::as_const(b));
    }
  }
};

// The end of a fold whose value is for rank 0.
template <class T>
void finish_fold(Invocation& invocation, Folded<T>& folded) {
  if (folded.error) std::rethrow_exception(folded.error);
  if (folded.failed) throw StoodBack();
  if (invocation.group->index() == 0) give_result(invocation, std::move(*folded.value));
}

// Of a call whose value comes from the first engine.
template <class T>
class FromFirst final : public Results<T> {
 public:
  void grow(std::uint64_t, std::uint64_t) override {}
  void load(std::uint64_t item, Reader& in) override {
    if (item == 0) Results<T>::load(0, in);
  }
};

}  // namespace rankview::detail
