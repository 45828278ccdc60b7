// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "checkpoint/checkpoint.hpp"
#include "farm/job.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace rankview::farm {

// What earlier farms have made of a command.
enum class Was : std::uint8_t { unknown, succeeded, failed };

// Which commands are run.
enum class Choice : std::uint8_t {
  all,
  not_done,     // those that have not been run: --resume
  not_good,     // those that have not succeeded: --resume-failed
  only_failed,  // those that have failed: --failed
};
bool is_chosen(Choice choice, Was was);

// What earlier farms have done, and where this one says what it does.
class Past {
 public:
  Past() = default;
  Past(const Past&) = delete;
  Past& operator=(const Past&) = delete;
  virtual ~Past() = default;

  // Of commands in the order of the input.
  virtual Was find(Job& job) = 0;
  // It has ended for good.
  virtual void add(const End& end) = 0;
  // All that was added survives from here on; a sentence about what is wrong, or nothing.
  virtual std::string finish() = 0;
};

// By the numbers in a job log, as GNU parallel does it: they mean the same only while the input stays as it was. Nothing is added.
class LoggedPast final : public Past {
 public:
  // Throws std::system_error if the log cannot be read, and UsageError if it is none.
  explicit LoggedPast(const std::string& path);

  Was find(Job& job) override;
  void add(const End& /*end*/) override {}
  std::string finish() override { return ""; }

 private:
  std::vector<Was> by_number_;
};

// Counts how often each text has come, with 16 bytes for each. Texts are told apart by 64 bits of a checksum.
class Occurrences {
 public:
  // How often it has come before.
  std::uint32_t count(std::string_view text);

 private:
  struct Entry {
    std::uint64_t text = 0;
    std::uint32_t times = 0;  // 0 for nothing
  };

  Entry& find(std::uint64_t text);
  void grow();

  std::vector<Entry> entries_;
  std::size_t used_ = 0;
};

// By the text of a command, and its place among equal ones, in a checkpoint: lines may be added, removed and put in another order.
class KeptPast final : public Past {
 public:
  // `warn` is told what is wrong with the checkpoint, a line at a time, from any thread. Throws what Checkpoint does.
  KeptPast(checkpoint::Disk& disk, const std::string& directory, const std::string& host, std::function<void(const std::string&)> warn);

  Was find(Job& job) override;
  void add(const End& end) override;
  std::string finish() override;

 private:
  checkpoint::Checkpoint checkpoint_;
  const std::uint32_t callable_;
  Occurrences occurrences_;
  detail::Buffer found_;
};

}  // namespace rankview::farm
