// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "farm/job.hpp"
#include "farm/printer.hpp"
#include "isolation/fd.hpp"

#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

namespace rankview::farm {

// What commands have written, all in one file for each farm, so that a hundred thousand commands do not make two hundred thousand files.
//
// For each a line of numbers, then its host, its command, what it wrote to stdout and to stderr, and a line with a checksum of these.
class OutputKeeper {
 public:
  static constexpr std::string_view ending = ".output";

  // Begins a file in the directory, when there is something to be written. `name`: that no other farm has.
  OutputKeeper(const std::string& directory, const std::string& name) : path_(directory + "/" + name + std::string(ending)) {}

  // Of a command that has ended for good. Throws std::system_error.
  void add(const End& end);

 private:
  const std::string path_;
  isolation::Fd file_;
};

// One of those.
struct KeptOutput {
  std::uint64_t number = 0;
  int attempt = 1;
  Cause cause = Cause::itself;
  int status = 0;
  int signal = 0;
  std::int64_t started = 0;  // nanoseconds since the epoch
  std::int64_t took = 0;     // nanoseconds
  unsigned slot = 0;
  std::string host;
  std::string command;
  std::uint64_t at = 0;        // where its output begins in the file
  std::uint64_t out_size = 0;  // bytes
  std::uint64_t err_size = 0;

  [[nodiscard]] bool succeeded() const { return cause == Cause::itself && status == 0 && signal == 0; }
};

// How such a file is read.
class OutputFile {
 public:
  // Throws std::system_error if it cannot be opened.
  explicit OutputFile(const std::string& path);

  // The next one; false at the end, and where the file is not as it should be.
  bool next(KeptOutput& output);
  // Whether it ends in the middle, as when whoever wrote it was killed, or has something else in it.
  [[nodiscard]] bool damaged() const { return damaged_; }
  // Writes what the command wrote. False if that is not what the checksum says.
  bool copy(const KeptOutput& output, TextSink& out, TextSink& err);

 private:
  std::ifstream file_;
  std::uint64_t size_ = 0;
  std::uint64_t at_ = 0;
  bool damaged_ = false;
};

}  // namespace rankview::farm
