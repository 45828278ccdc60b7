// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "farm/template.hpp"
#include "isolation/fd.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rankview::farm {

// Until it can be read from; for ever if it is -1.
void wait_for_input(int descriptor);

// What came of asking for the next.
enum class Next : std::uint8_t {
  there,  // it is there
  later,  // whoever writes it has not done so
  none,   // there is no further one
};

// Where arguments come from, one after the other.
class Records {
 public:
  Records() = default;
  Records(const Records&) = delete;
  Records& operator=(const Records&) = delete;
  virtual ~Records() = default;

  // Throws std::system_error if they cannot be read.
  virtual Next next(std::string& record) = 0;
  // When there are none yet: what can be read from when there are; -1 where that is never so.
  [[nodiscard]] virtual int descriptor() const { return -1; }
};

// Those that stand on the command line.
class WordRecords final : public Records {
 public:
  explicit WordRecords(std::vector<std::string> words) : words_(std::move(words)) {}
  Next next(std::string& record) override;

 private:
  std::vector<std::string> words_;
  std::size_t at_ = 0;
};

// The lines of a file, or what else ends with the delimiter; what stands behind the last one is a record, too.
class FileRecords final : public Records {
 public:
  // Reads stdin for "-". Throws std::system_error if it cannot be opened.
  FileRecords(const std::string& path, char delimiter);
  FileRecords(isolation::Fd file, char delimiter);
  Next next(std::string& record) override;
  [[nodiscard]] int descriptor() const override { return file_.get(); }

 private:
  [[nodiscard]] bool can_be_read() const;
  void read();

  isolation::Fd file_;
  const char delimiter_;
  bool ended_ = false;
  std::string buffer_;
  std::size_t taken_ = 0;     // of the buffer
  std::size_t searched_ = 0;  // of it, without finding a delimiter
};

// Splits records into columns.
class Columns {
 public:
  // A text that stands between columns, or \t, or \s+ for any white space. Throws UsageError for other regular expressions.
  explicit Columns(const std::string& separator);
  void split(const std::string& record, Arguments& into) const;

 private:
  std::string text_;  // empty for white space
};

// The arguments of each command, in order: every combination of what the sources have, the last of them changing fastest. Linked sources go
// in step with the one before, and end with the shortest.
class Input {
 public:
  void add(std::unique_ptr<Records> records, bool linked = false);
  void split_by(Columns columns) { columns_ = std::move(columns); }

  Next next(Arguments& into);
  // When there is none yet.
  [[nodiscard]] int descriptor() const { return waits_for_; }

 private:
  // Sources that go in step. All but the first group are read to the end, to be gone through again and again.
  struct Group {
    std::vector<std::unique_ptr<Records>> sources;
    std::vector<Arguments> all;
    Arguments now;
    std::size_t at = 0;  // in all, the next one
    bool complete = false;
  };

  Next read(Group& group, Arguments& into);
  Next read_rest();
  void deliver(Arguments& into) const;

  std::vector<Group> groups_;
  std::optional<Columns> columns_;
  int waits_for_ = -1;
  bool begun_ = false;
  Arguments partly_;  // read of a group, of which not all sources were there yet
};

}  // namespace rankview::farm
