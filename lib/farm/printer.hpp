// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "farm/job.hpp"
#include "isolation/fd.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace rankview::farm {

// Where text goes. Interface, since tests look at it.
class TextSink {
 public:
  // Throws std::system_error.
  virtual void write(std::string_view text) = 0;

 protected:
  ~TextSink() = default;
};

// A descriptor, of this process or of whoever has it.
class DescriptorSink final : public TextSink {
 public:
  explicit DescriptorSink(int descriptor) : descriptor_(descriptor) {}
  void write(std::string_view text) override;

 private:
  const int descriptor_;
};

// Prints what commands have written, that of each together: what went to stdout, then what went to stderr.
class Printer {
 public:
  enum class Order { as_they_end, as_they_stand };

  // The sinks have to stay. With Order::as_they_stand what is not due yet waits in a file in this directory. `prints`: false where it is
  // kept in files, as by --results.
  Printer(Order order, TextSink& out, TextSink& err, std::string temporary_directory, bool prints = true)
      : order_(order), out_(out), err_(err), temporary_directory_(std::move(temporary_directory)), prints_(prints) {}

  // Of a command that has ended for good.
  void add(const End& end);
  // What waits for commands that will never end.
  void flush();

 private:
  struct Waiting {
    std::string tag;
    std::uint64_t begin = 0;  // in the file
    std::uint64_t out = 0;    // bytes
    std::uint64_t err = 0;
  };

  void print(const std::string& tag, const Captured& out, const Captured& err);
  static void print(const std::string& tag, const Captured& text, TextSink& to);
  Waiting put_by(const End& end);
  void print(const Waiting& waiting);
  void print_stored(const std::string& tag, std::uint64_t begin, std::uint64_t size, TextSink& to);

  const Order order_;
  TextSink& out_;
  TextSink& err_;
  const std::string temporary_directory_;
  const bool prints_;
  std::uint64_t due_ = 0;                     // the place of the next
  std::map<std::uint64_t, Waiting> waiting_;  // by place
  isolation::Fd store_;
  std::uint64_t stored_ = 0;  // bytes in it
};

}  // namespace rankview::farm
