// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <utility>

namespace rankview::inline abi_0_1::detail {

// Growable bytes. Unlike std::vector it leaves new bytes uninitialised and grows in place where the allocator can.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept
      : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)), capacity_(std::exchange(other.capacity_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
    return *this;
  }

  [[nodiscard]] std::byte* data() noexcept { return data_.get(); }
  [[nodiscard]] const std::byte* data() const noexcept { return data_.get(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_.get(), size_}; }

  void clear() noexcept { size_ = 0; }

  // Drops the bytes from `size` on.
  void truncate(std::size_t size) noexcept { size_ = size; }

  void reserve(std::size_t capacity) {
    if (capacity <= capacity_) return;
    void* grown = std::realloc(data_.get(), capacity);
    if (grown == nullptr) throw std::bad_alloc();
    static_cast<void>(data_.release());
    data_.reset(static_cast<std::byte*>(grown));
    capacity_ = capacity;
  }

  // Gives back what reserve() took too much.
  void shrink_to_fit() {
    if (size_ == capacity_ || size_ == 0) return;
    if (void* shrunk = std::realloc(data_.get(), size_); shrunk != nullptr) {
      static_cast<void>(data_.release());
      data_.reset(static_cast<std::byte*>(shrunk));
      capacity_ = size_;
    }
  }

  // Adds `count` uninitialised bytes and returns the first.
  std::byte* extend(std::size_t count) {
    if (count > capacity_ - size_) grow(count);
    std::byte* at = data_.get() + size_;
    size_ += count;
    return at;
  }

  void append(const void* from, std::size_t count) {
    if (count != 0) std::memcpy(extend(count), from, count);
  }

 private:
  struct Free {
    void operator()(std::byte* bytes) const noexcept { std::free(bytes); }
  };

  void grow(std::size_t count) {
    if (count > static_cast<std::size_t>(-1) / 4 - size_) throw std::bad_alloc();
    const std::size_t wanted = size_ + count;
    reserve(wanted < 256 ? 256 : wanted + wanted / 2);
  }

  std::unique_ptr<std::byte, Free> data_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace rankview::detail
