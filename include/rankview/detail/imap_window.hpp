// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/call.hpp>

#include <cstdint>
#include <exception>
#include <map>
#include <memory>

// imap: the part that does not depend on types.
namespace rankview::inline abi_0_1::detail {

// Where the tasks of an imap come from.
class TaskSource {
 public:
  TaskSource() = default;
  TaskSource(const TaskSource&) = delete;
  TaskSource& operator=(const TaskSource&) = delete;
  virtual ~TaskSource();
  // Reads the next element and submits its task, which tells `feed` its end as number `index`. Null when there is no element. Throws what
  // reading throws.
  virtual std::shared_ptr<Call> next(const std::shared_ptr<CompletionFeed>& feed, std::uint64_t index) = 0;
};

// The tasks of an imap from the reading of their elements to the taking of their results, `most` at a time.
class ImapWindow {
 public:
  ImapWindow(std::unique_ptr<TaskSource> source, std::uint64_t most, bool in_order);
  ImapWindow(const ImapWindow&) = delete;
  ImapWindow& operator=(const ImapWindow&) = delete;
  // Gives up what is outstanding.
  ~ImapWindow();

  // Goes to the first place, if nobody has yet.
  void start();
  // Goes to the next place: forgets the present one, and reads elements until the result for the place is there or enough are outstanding.
  void advance();
  // Whether there is nothing at the place, nor will be.
  [[nodiscard]] bool over() const { return pending_.empty() && input_error_ == nullptr; }

  // The task at the place, which has ended when this returns. Throws what the input threw, where that is the place.
  Call& settle();
  // The number of its element.
  std::uint64_t index();

 private:
  using Pending = std::map<std::uint64_t, CallHandle>;

  void fill();
  void read();
  bool arrived();

  std::unique_ptr<TaskSource> source_;  // null when all is read
  std::uint64_t most_;
  bool in_order_;
  bool started_ = false;
  std::shared_ptr<CompletionFeed> feed_;      // null for what is in order
  Pending pending_;                           // by number
  Pending::iterator place_ = pending_.end();  // the end while it is not known which ends next
  std::uint64_t read_ = 0;
  std::exception_ptr input_error_;
};

}  // namespace rankview::detail
