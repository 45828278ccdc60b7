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
namespace rankview::inline abi_0_1::detail {

class Call;

// A container that holds its elements in one block of memory, and travels as that.
template <class T>
struct is_block : std::false_type {};
template <class T, class A>
struct is_block<std::vector<T, A>> : std::bool_constant<Bulk<T>> {};
template <class C, class Traits, class A>
struct is_block<std::basic_string<C, Traits, A>> : std::true_type {};

// How a task comes by a long result that is an argument of it.
struct Origin {
  enum class Kind : std::uint8_t { value, kept, delivered };
  Kind kind = Kind::value;   // it is sent along, or the engine has it, or another engine delivers it
  std::uint64_t number = 0;  // of the call whose result the engine has; of the ticket under which it is delivered
};

// Decides that for a task that is handed out.
class Origins {
 public:
  virtual Origin of(const Call& result) = 0;

 protected:
  ~Origins() = default;
};

// No engine has the result of a call any more that was to come from there.
struct ResultGone {};

// For a task: the result of a call that the engine has made and kept, as it was returned. Throws ResultGone if it is not there, or of
// another type.
std::shared_ptr<const void> kept_result(std::uint64_t call, const std::type_info& type);

// What another engine delivers.
class Delivered {
 public:
  Delivered() = default;
  Delivered(const Delivered&) = delete;
  Delivered& operator=(const Delivered&) = delete;
  virtual ~Delivered() = default;
  // The encoded value. Its attachments come with receive(), once all of it has been read.
  virtual Reader& value() = 0;
  virtual void receive() = 0;
};

// For a task: waits for what was promised under a ticket. Throws ResultGone if the other engine does not have it any more.
std::unique_ptr<Delivered> await_delivered(std::uint64_t ticket);

// A long result on its way to become an argument. T is a block, of which a copy is as good as what was sent and read.
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
struct lane<FromResult<T>> {
  using parts = Types<>;

  static void save(Writer& out, const T& value) {
    out.value(Origin::Kind::value);
    codec<T>::save(out, value);
  }
  // For an origin that is not the value.
  static void save(Writer& out, const Origin& origin) {
    out.value(origin.kind);
    out.value(origin.number);
  }
  static FromResult<T> load(Reader& in) {
    const auto kind = static_cast<Origin::Kind>(in.value<std::uint8_t>());
    if (kind == Origin::Kind::value) return FromResult<T>(codec<T>::load(in));
    const auto number = in.value<std::uint64_t>();
    if (kind == Origin::Kind::kept) return FromResult<T>(std::static_pointer_cast<const T>(kept_result(number, typeid(T))));
    if (kind != Origin::Kind::delivered) throw DecodeError("an argument that is a result from nowhere");
    const auto delivered = await_delivered(number);
    T value = codec<T>::load(delivered->value());
    delivered->receive();
    return FromResult<T>(std::move(value));
  }
};

}  // namespace rankview::detail
