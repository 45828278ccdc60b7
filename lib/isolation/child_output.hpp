// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "capture/lines.hpp"
#include "capture/outputs.hpp"
#include "isolation/fd.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace rankview::isolation {

// What a child and those that it starts write to stdout and stderr. The latter is always read, so that its end can be told if the child
// crashes; the former only where it is wanted.
class ChildOutput {
 public:
  // `engine`: whose child it is. Throws std::system_error.
  ChildOutput(const capture::Terms& terms, int engine);

  // For the child: what its stderr and stdout are to be, -1 for what they are. It has been started, and they are not needed here any more.
  [[nodiscard]] int errors() const { return errors_.into.get(); }
  [[nodiscard]] int output() const { return output_.into.get(); }
  void started();
  // Readable when there is something for read(), -1 when no more comes.
  [[nodiscard]] int errors_ready() const { return errors_.from.get(); }
  [[nodiscard]] int output_ready() const { return output_.from.get(); }
  // Takes some of what is there, never waiting.
  void read();

  // The end of what went to stderr, in some lines.
  [[nodiscard]] std::string end_of_errors() const { return std::string(last_errors_.last()); }
  // What was printed, after its end.
  capture::Texts texts();

 private:
  struct Stream {
    Fd from;
    Fd into;
    capture::Excerpt kept;
    capture::Lines lines;
  };

  template <class Take>
  static void read_some(Fd& from, Take take);
  void put(Stream& stream, std::string_view bytes, int fd);

  const capture::Terms terms_;
  Stream errors_;
  Stream output_;
  capture::Excerpt last_errors_;
};

}  // namespace rankview::isolation
