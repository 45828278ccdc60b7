// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "isolation/child_output.hpp"

#include "capture/redirection.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <cstdio>
#include <tuple>

namespace rankview::isolation {
namespace {

// So much of the end of what went to stderr is told of a child that has crashed.
constexpr std::size_t told_of_errors = 2000;

}  // namespace

ChildOutput::ChildOutput(const capture::Terms& terms, int engine)
    : terms_(terms),
      errors_{{}, {}, terms.excerpt(), capture::Lines(capture::prefix_of(STDERR_FILENO, engine))},
      output_{{}, {}, terms.excerpt(), capture::Lines(capture::prefix_of(STDOUT_FILENO, engine))},
      last_errors_(0, told_of_errors) {
  std::tie(errors_.from, errors_.into) = pipe_pair();
  if (terms_.wanted()) std::tie(output_.from, output_.into) = pipe_pair();
  for (const int own : {errors_.from.get(), output_.from.get()}) {
    if (own >= 0) ::fcntl(own, F_SETFL, ::fcntl(own, F_GETFL) | O_NONBLOCK);
  }
}

void ChildOutput::started() {
  errors_.into.reset();
  output_.into.reset();
}

template <class Take>
void ChildOutput::read_some(Fd& from, Take take) {
  // As much as a pipe holds, since it may never stop.
  constexpr int pieces = 16;
  std::array<char, 4096> part;
  for (int i = 0; i < pieces && from; ++i) {
    const ssize_t got = ::read(from.get(), part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) from.reset();
    if (got <= 0) return;
    take(std::string_view(part.data(), static_cast<std::size_t>(got)));
  }
}

void ChildOutput::read() {
  read_some(errors_.from, [this](std::string_view bytes) {
    last_errors_.add(bytes);
    if (terms_.wanted()) {
      put(errors_, bytes, STDERR_FILENO);
    } else {
      // To where the engine's own goes.
      std::fwrite(bytes.data(), 1, bytes.size(), stderr);
    }
  });
  read_some(output_.from, [this](std::string_view bytes) { put(output_, bytes, STDOUT_FILENO); });
}

void ChildOutput::put(Stream& stream, std::string_view bytes, int fd) {
  stream.kept.add(bytes);
  if (terms_.shows) stream.lines.add(bytes, capture::destination(fd));
}

capture::Texts ChildOutput::texts() {
  output_.lines.end(capture::destination(STDOUT_FILENO));
  errors_.lines.end(capture::destination(STDERR_FILENO));
  return {output_.kept.text(), errors_.kept.text()};
}

}  // namespace rankview::isolation
