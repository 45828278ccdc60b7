// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "isolation/fd.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace rankview::farm {

// What a command has written to one of its streams: in a file without a name, or, where it has come from another host, in memory.
class Captured {
 public:
  Captured() = default;  // nothing
  explicit Captured(std::string bytes) : bytes_(std::move(bytes)), size_(bytes_.size()) {}
  // As much as the file has now; none of it is kept open if that is nothing. Throws std::system_error.
  explicit Captured(isolation::Fd file);

  // So many bytes that are not here.
  static Captured elsewhere(std::uint64_t size) {
    Captured captured;
    captured.size_ = size;
    return captured;
  }

  [[nodiscard]] std::uint64_t size() const { return size_; }
  // Hands over what is here, piece by piece. Throws std::system_error.
  void read(const std::function<void(std::string_view)>& take) const;
  [[nodiscard]] std::string text() const;

 private:
  isolation::Fd file_;
  std::string bytes_;
  std::uint64_t size_ = 0;
};

// A file without a name, for what a command writes. Throws std::system_error, which names the directory.
isolation::Fd temporary_file(const std::string& directory);
// Where such files go: $TMPDIR, or /tmp.
std::string temporary_directory();

}  // namespace rankview::farm
