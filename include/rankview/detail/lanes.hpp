// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/archive.hpp>
#include <rankview/detail/bytes.hpp>
#include <rankview/detail/code_address.hpp>
#include <rankview/detail/padding.hpp>
#include <rankview/reference.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace rankview::inline abi_0_1::detail {

// How values of type T are written, and read again. A lane has
//   parts             Types of what it leaves to other lanes
//   size              the encoded size, if it is the same for every value
//   save(out, value)  what is long may be attached where it lies, and so has to outlive the message
//   load(in)          the value; or, in place of it or beside it,
//   read(in, value)   into one that is there already
template <class T>
struct lane;

// ---- what is said of all the parts --------------------------------------------------------------------------------------------

// A type may be part of itself, by way of a container or a pointer; Above are those that are being looked at.
template <template <class> class Said, bool all, class T, class... Above>
consteval bool said();
template <template <class> class Said, bool all, class... Above, class... Part>
consteval bool said_of(Types<Part...>, Types<Above...>) {
  if constexpr (all) {
    return (said<Said, all, Part, Above...>() && ...);
  } else {
    return (said<Said, all, Part, Above...>() || ...);
  }
}
template <template <class> class Said, bool all, class T, class... Above>
consteval bool said() {
  if constexpr ((std::is_same_v<T, Above> || ...)) {
    return all;
  } else if constexpr (Said<T>::value != all) {
    return !all;
  } else {
    return said_of<Said, all>(typename lane<T>::parts(), Types<T, Above...>());
  }
}

template <class T>
    struct sends : std::bool_constant < !requires {
  requires !lane<T>::sends;
} > {};
template <class T>
    struct tracks : std::bool_constant < requires {
  requires lane<T>::tracks;
} > {};

// Whether a T can be sent, as far as it can be told without trying.
template <class T>
inline constexpr bool sendable = said<sends, true, T>();

// Whether something within a T may be shared, so that it has to be known again when it comes the second time.
template <class T>
inline constexpr bool shares = said<tracks, false, T>();

// ---- the way in ---------------------------------------------------------------------------------------------------------------

// An archive for all of a value, unless there is one already.
template <class Archive, class Stream>
class Session {
 public:
  explicit Session(Stream& stream) {
    if (stream.archive == nullptr) archive_.emplace(stream);
  }

 private:
  std::optional<Archive> archive_;
};

// One for what is written as if it were a container of T, where that needs one.
struct NoSession {
  explicit NoSession(Writer&) {}
};
template <class T>
using SessionOf = std::conditional_t<shares<T>, Session<OutArchive, Writer>, NoSession>;

template <class T>
struct codec : lane<T> {};

template <class T>
requires shares<T>
struct codec<T> : lane<T> {
  static void save(Writer& out, const T& value) {
    const Session<OutArchive, Writer> session(out);
    lane<T>::save(out, value);
  }
  static void save(Writer&, const T&&) = delete;
  static T load(Reader& in) {
    const Session<InArchive, Reader> session(in);
    return lane<T>::load(in);
  }
  static void read(Reader& in, T& value) requires requires { lane<T>::read(in, value); }
  {
    const Session<InArchive, Reader> session(in);
    lane<T>::read(in, value);
  }
};

template <class T>
void save(Writer& out, const T& value) {
  codec<T>::save(out, value);
}
template <class T>
void save(Writer&, const T&&) = delete;  // what is attached is borrowed

template <class T>
T load(Reader& in) {
  return codec<T>::load(in);
}

// Reads a value into its place, if there is a way without another copy.
template <class T>
void read(Reader& in, T& value) {
  if constexpr (requires { codec<T>::read(in, value); }) {
    codec<T>::read(in, value);
  } else if constexpr (std::is_move_assignable_v<T>) {
    value = codec<T>::load(in);
  } else {
    T fresh = codec<T>::load(in);
    if constexpr (std::is_move_constructible_v<T>) {
      std::destroy_at(&value);
      std::construct_at(&value, std::move(fresh));
    }
  }
}

// Values of which no copy shall lie on a stack that can do without.
template <class T>
inline constexpr bool bulky = sizeof(T) > 16 * 1024;

// A value that lies on its own.
template <class T>
std::shared_ptr<T> load_shared(Reader& in) {
  if constexpr (bulky<T> && std::is_default_constructible_v<T> && requires(T & value) { read(in, value); }) {
    auto value = std::make_shared<T>();
    read(in, *value);
    return value;
  } else {
    return std::make_shared<T>(codec<T>::load(in));
  }
}

// The encoded size of T where it is the same for every value, 0 otherwise.
template <class T>
inline constexpr std::size_t fixed_size = [] {
  if constexpr (requires { lane<T>::size; }) {
    return lane<T>::size;
  } else {
    return std::size_t{0};
  }
}();

// The least that an element takes in a message.
template <class T>
inline constexpr std::size_t least_size = fixed_size<T> != 0 ? fixed_size<T> : 1;

// Elements that a container which holds them side by side sends and receives as one block of memory.
template <class T>
concept Bulk = Bytes<T> && std::is_default_constructible_v<T> && !std::is_same_v<T, bool>;

// Says why a T cannot be sent, and what to do. One sentence only, whatever is wrong.
template <class T>
consteval bool refuse() {
  constexpr bool never = !std::is_same_v<T, T>;
  if constexpr (std::is_pointer_v<T>) {
    static_assert(never,
                  "rankview: a raw pointer means nothing in another process; pass the value, a container, or rv::ref(\"name\") for data "
                  "that lives on the engine");
  } else if constexpr (std::is_member_pointer_v<T>) {
    static_assert(never, "rankview: a pointer to member cannot be sent; wrap the access in a lambda");
  } else if constexpr (std::is_reference_v<T>) {
    static_assert(never, "rankview: a reference means nothing in another process; make the member a value");
  } else if constexpr (ViewLike<T>) {
    static_assert(
        never,
        "rankview: a view (std::span, std::string_view, std::reference_wrapper, a range adaptor) does not own its data and cannot "
        "be a result, a member or an element; use std::vector or std::string");
  } else if constexpr (IteratorLike<T>) {
    static_assert(never, "rankview: an iterator means nothing in another process; send the element, or its index");
  } else if constexpr (ErrorCodeLike<T>) {
    static_assert(never,
                  "rankview: an error code holds the address of its category, which means nothing in another process; send its value() and "
                  "category().name(), or its message()");
  } else if constexpr (is_address<T>::value) {
    static_assert(never,
                  "rankview: this type holds an address (or a thread), which means nothing in another process; send what it is about");
  } else if constexpr (BoostKnows<T>) {
    static_assert(std::is_default_constructible_v<T>,
                  "rankview: a type that is not trivially copyable must be default-constructible to be sent to another process");
  } else if constexpr (Aggregate<T> && std::is_trivially_copyable_v<T>) {
    static_assert(never,
                  "rankview: a member of this struct is a reference, which means nothing in another process; make it a value, or give the "
                  "struct a serialize(archive, version) member");
  } else if constexpr (Aggregate<T>) {
    constexpr std::size_t count = count_members<T>();
    static_assert(
        count != a_base_class,
        "rankview: this struct has a base class, so its members cannot be told apart; make the base a member, or give the struct a "
        "serialize(archive, version) member");
    static_assert(
        count != a_union,
        "rankview: this struct has a union as member, of which nobody knows what it holds; use std::variant, or give the struct a "
        "serialize(archive, version) member");
    static_assert(count != too_many_members,
                  "rankview: this struct has more than 32 members, too many to be told apart; group them in structs, or give it a "
                  "serialize(archive, version) member");
    static_assert(count != unmade_member,
                  "rankview: a member of this struct is a reference or has no default constructor, so the struct cannot be made in another "
                  "process; change that member, or give the struct a serialize(archive, version) member");
  } else {
    static_assert(never,
                  "rankview: nothing says how this type is sent; make it a plain struct of values that can be sent, or give it a "
                  "serialize(archive, version) member, as Boost.Serialization wants it");
  }
  return true;
}

// Has all of what is written or read go into the message, also what is long.
class Whole {
 public:
  explicit Whole(bool& flat) : flat_(flat), before_(std::exchange(flat, true)) {}
  Whole(const Whole&) = delete;
  Whole& operator=(const Whole&) = delete;
  ~Whole() { flat_ = before_; }

 private:
  bool& flat_;
  bool before_;
};

// Everything that has no better rule: Boost.Serialization, if it was told about the type.
template <class T>
struct lane {
  static constexpr bool known = !OnlyHere<T> && BoostKnows<T> && std::is_default_constructible_v<T>;

  using parts = Types<>;
  static constexpr bool sends = !OnlyHere<T> && SerialisesItself<T> && std::is_default_constructible_v<T>;

  static constexpr bool tracks = known;

  // What a class writes and reads itself it may do by way of variables of its own, so nothing of it is attached.
  static void save(Writer& out, const std::remove_reference_t<T>& value) {
    if constexpr (known) {
      const Whole whole(out.flat);
      *out.archive << value;
    } else {
      static_assert(refuse<T>());
    }
  }
  static T load(Reader& in) {
    if constexpr (known) {
      T value;
      read(in, value);
      return value;
    } else {
      static_assert(refuse<T>());
      __builtin_unreachable();
    }
  }
  static void read(Reader& in, T& value) requires known {
    const Whole whole(in.flat());
    *in.archive >> value;
  }
};

template <Bytes T>
struct lane<T> {
  static constexpr std::size_t size = sizeof(T);

  using parts = Types<>;
  static void save(Writer& out, const T& value) {
    if constexpr (padded<T>) {
      save_side_by_side(out, &value, 1, true);
    } else {
      out.value(value);
    }
  }
  static T load(Reader& in) { return in.value<T>(); }
  static void read(Reader& in, T& value) requires(bulky<T>&& std::is_copy_assignable_v<T>) { in.raw(&value, sizeof(T)); }
};

template <class T>
requires is_function_pointer<T>::value struct lane<T> {
  static constexpr std::size_t size = sizeof(CodeAddress);

  using parts = Types<>;
  static void save(Writer& out, T function) { out.value(code_address(reinterpret_cast<const void*>(function))); }
  static T load(Reader& in) { return reinterpret_cast<T>(const_cast<void*>(local_address(in.value<CodeAddress>()))); }
};

// The size of several values side by side, if each has one.
template <class... T>
struct variable_tuple {};
template <class... T>
struct fixed_tuple {
  static constexpr std::size_t size = (fixed_size<T> + ... + 0);
};
template <class T, std::size_t N>
struct fixed_array {
  static constexpr std::size_t size = N * fixed_size<T>;
};
template <class... T>
using tuple_size_of = std::conditional_t<((fixed_size<T> != 0) && ...), fixed_tuple<T...>, variable_tuple<T...>>;

// A key decides where it goes, and so must be there when its container is filled: before what is attached to a message has arrived.
template <class K>
void save_whole(Writer& out, const K& key) {
  const Whole whole(out.flat);
  codec<K>::save(out, key);
}
template <class K>
K load_whole(Reader& in) {
  const Whole whole(in.flat());
  return codec<K>::load(in);
}

}  // namespace rankview::detail
