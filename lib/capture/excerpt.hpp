// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace rankview::capture {

// The first and the last bytes of something that may be long. Takes no more memory than for these and the last ones once more.
class Excerpt {
 public:
  // Of nothing.
  Excerpt() = default;
  // So many bytes of the beginning and of the end.
  Excerpt(std::size_t first, std::size_t last) : most_first_(first), most_last_(last) {}

  void add(std::string_view bytes) {
    total_ += bytes.size();
    const std::size_t room = most_first_ - first_.size();
    first_.append(bytes.substr(0, room));
    bytes.remove_prefix(std::min(room, bytes.size()));
    if (bytes.size() > most_last_) bytes.remove_prefix(bytes.size() - most_last_);
    last_.append(bytes);
    if (last_.size() > 2 * most_last_) last_.erase(0, last_.size() - most_last_);
  }
  void clear() {
    first_.clear();
    last_.clear();
    total_ = 0;
  }

  // Whether nothing was added.
  [[nodiscard]] bool empty() const { return total_ == 0; }
  [[nodiscard]] std::string_view first() const { return first_; }
  [[nodiscard]] std::string_view last() const {
    const std::string_view last = last_;
    return last.substr(last.size() - std::min(last.size(), most_last_));
  }
  // How many bytes that are neither.
  [[nodiscard]] std::uint64_t left_out() const { return total_ - first().size() - last().size(); }

  // Both, and between them how much is left out, if anything is. Of nothing: nothing.
  [[nodiscard]] std::string text() const {
    std::string text(first());
    if (most_first_ + most_last_ == 0) return text;
    if (const std::uint64_t count = left_out(); count != 0) text += "\n[" + std::to_string(count) + " bytes are left out here]\n";
    return text.append(last());
  }

 private:
  std::size_t most_first_ = 0;
  std::size_t most_last_ = 0;
  std::string first_;
  std::string last_;  // may be up to twice as long as it has to be, so that little is moved
  std::uint64_t total_ = 0;
};

}  // namespace rankview::capture
