// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "farm/input.hpp"
#include "farm/job.hpp"
#include "farm/past.hpp"
#include "farm/template.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace rankview::farm {

// What all commands of a farm are made by.
struct JobTerms {
  Template command = Template::of_lines();
  std::optional<Template> tag;
  std::string results;  // the root of directories for what they write; empty for none
  Needs needs;          // of commands that say nothing of it
  bool skip_empty = false;
  Choice choice = Choice::all;
  // Is told why a command runs.
  std::function<void(const Job&, const std::string& why)> explain;
};

// Makes commands of arguments, as they are wanted, and leaves out what is done.
class JobMaker {
 public:
  // `past` may be null; it has to stay.
  JobMaker(JobTerms terms, Input input, Past* past) : terms_(std::move(terms)), input_(std::move(input)), past_(past) {}

  Next next(Job& job);
  [[nodiscard]] int descriptor() const { return input_.descriptor(); }
  [[nodiscard]] std::uint64_t skipped() const { return skipped_; }

 private:
  void take_its_needs(Job& job) const;
  void explain(const Job& job, Was was) const;

  const JobTerms terms_;
  Input input_;
  Past* const past_;
  std::uint64_t number_ = 0;
  std::uint64_t place_ = 0;
  std::uint64_t skipped_ = 0;
};

}  // namespace rankview::farm
