// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/buffer.hpp>
#include <rankview/errors.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace rankview::inline abi_0_1::detail {

class OutArchive;
class InArchive;

// Contiguous data of at least this many bytes does not go into a message: it travels on its own, out of its owner's memory into
// its final place.
inline constexpr std::size_t attach_bytes = 32 * 1024;

// Memory that travels beside a message; somebody else owns it.
struct Attachment {
  const std::byte* data;
  std::size_t size;
};

// What a value becomes on its way: bytes, the attachments among them, and what must live until those are sent.
class Writer {
 public:
  struct Mark {
    std::size_t bytes;
    std::size_t attachments;
    std::size_t kept;
  };

  Buffer bytes;
  std::vector<Attachment> attachments;
  std::vector<std::shared_ptr<const void>> kept;
  bool flat = false;              // everything goes into the message, whatever its size
  bool canonical = false;         // what is no part of a value is written as zero; see padding.hpp
  OutArchive* archive = nullptr;  // what is open, for the objects that Boost serialises and those that are shared

  void raw(const void* from, std::size_t count) { bytes.append(from, count); }

  template <class T>
  void value(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::memcpy(bytes.extend(sizeof(T)), static_cast<const void*>(&value), sizeof(T));
  }

  // A name or the like: all of it goes into the message, so that it may be gone by the time the message is sent.
  void text(std::string_view text) {
    value(static_cast<std::uint64_t>(text.size()));
    raw(text.data(), text.size());
  }

  // Contiguous data whose size the reader knows already: in the message if it is short, attached to it otherwise. What is attached is
  // borrowed: its owner has to outlive the message.
  void block(const void* from, std::size_t count) {
    if (count < attach_bytes || flat) {
      raw(from, count);
    } else {
      attachments.push_back({static_cast<const std::byte*>(from), count});
    }
  }

  [[nodiscard]] Mark mark() const { return {bytes.size(), attachments.size(), kept.size()}; }
  [[nodiscard]] bool attached_since(const Mark& mark) const { return attachments.size() != mark.attachments; }
  void rewind(const Mark& mark) {
    bytes.truncate(mark.bytes);
    attachments.resize(mark.attachments);
    kept.resize(mark.kept);
  }
};

// Places that attachments shall arrive at.
class Claims {
 public:
  struct Place {
    std::byte* data;
    std::size_t size;
  };

  // `sizes` are those the sender announced, in order.
  explicit Claims(std::span<const std::uint64_t> sizes) : sizes_(sizes) {}

  void claim(void* to, std::size_t size) {
    if (places_.size() == sizes_.size() || sizes_[places_.size()] != size) refuse(size);
    places_.push_back({static_cast<std::byte*>(to), size});
  }

  // The size announced for the attachment that is claimed next.
  [[nodiscard]] std::uint64_t next_size() const { return places_.size() < sizes_.size() ? sizes_[places_.size()] : 0; }
  [[nodiscard]] const std::vector<Place>& places() const { return places_; }
  [[nodiscard]] std::span<const std::uint64_t> sizes() const { return sizes_; }

 private:
  [[noreturn]] void refuse(std::size_t size) const;

  std::span<const std::uint64_t> sizes_;
  std::vector<Place> places_;
};

// Says that a message was written flat.
struct Flat {};

// Reads what a Writer wrote. Never trusts a length: what does not fit throws DecodeError.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes, Claims* claims = nullptr)
      : at_(bytes.data()), end_(bytes.data() + bytes.size()), claims_(claims) {}
  Reader(std::span<const std::byte> bytes, Flat) : Reader(bytes) { flat_ = true; }

  // Whether everything lies in the message, whatever its size.
  bool& flat() { return flat_; }

  InArchive* archive = nullptr;  // what is open

  [[nodiscard]] std::size_t remaining() const { return static_cast<std::size_t>(end_ - at_); }
  [[nodiscard]] bool done() const { return at_ == end_; }

  // The next `count` bytes, where they are.
  const std::byte* skip(std::size_t count) {
    if (count > remaining()) short_of(count);
    const std::byte* from = at_;
    at_ += count;
    return from;
  }

  std::span<const std::byte> take(std::size_t count) { return {skip(count), count}; }

  void raw(void* to, std::size_t count) {
    const std::byte* from = skip(count);
    if (count != 0) std::memcpy(to, from, count);
  }

  template <class T>
  T value() {
    static_assert(std::is_trivially_copyable_v<T>);
    if constexpr (std::is_same_v<T, bool>) {
      return value<std::uint8_t>() != 0;  // any other byte than 0 and 1 would be no bool
    } else if constexpr (std::is_default_constructible_v<T>) {
      T value;
      std::memcpy(static_cast<void*>(&value), skip(sizeof(T)), sizeof(T));
      return value;
    } else {
      struct Bytes {
        alignas(T) std::byte raw[sizeof(T)];
      } bytes;
      raw(bytes.raw, sizeof(T));
      return __builtin_bit_cast(T, bytes);
    }
  }

  // What Writer::text() wrote, where it is.
  std::string_view text() {
    const auto size = value<std::uint64_t>();
    if (size > remaining()) too_many(size);
    return {reinterpret_cast<const char*>(skip(static_cast<std::size_t>(size))), static_cast<std::size_t>(size)};
  }

  // A count of elements that each take at least `element_bytes` here, but for `empty` that take none, or that come attached.
  std::size_t count(std::size_t element_bytes, std::size_t empty = 0) {
    const auto n = value<std::uint64_t>();
    if (n > remaining() / element_bytes + empty) {
      const bool attached = claims_ != nullptr && n <= claims_->next_size() / element_bytes;
      if (!attached) too_many(n);
    }
    return static_cast<std::size_t>(n);
  }

  void block(void* to, std::size_t count) {
    if (count < attach_bytes || flat_) {
      raw(to, count);
    } else if (claims_ != nullptr) {
      claims_->claim(to, count);
    } else {
      missing(count);
    }
  }

 private:
  [[noreturn]] void short_of(std::size_t count) const;
  [[noreturn]] void too_many(std::uint64_t count) const;
  [[noreturn]] static void missing(std::size_t count);

  const std::byte* at_;
  const std::byte* end_;
  Claims* claims_;
  bool flat_ = false;
};

}  // namespace rankview::detail
