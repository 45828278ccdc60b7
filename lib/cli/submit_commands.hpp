// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "cli/submit.hpp"

#include <memory>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace rankview::cli {

// What stands on the command line behind rankview submit, jobs and cancel; and note, which scripts of ours call.
class SubmitCommands {
 public:
  explicit SubmitCommands(CLI::App& app);
  SubmitCommands(const SubmitCommands&) = delete;
  SubmitCommands& operator=(const SubmitCommands&) = delete;
  ~SubmitCommands();

  [[nodiscard]] bool chosen() const;
  // What stands at --, and behind it, at which CLI11 is not to look.
  std::vector<std::string>& behind() { return behind_; }
  // Gives the exit code; throws what the functions of submit.hpp do.
  int operator()(int argc, char** argv);

 private:
  void add_submit(CLI::App& app);

  CLI::App* submit_ = nullptr;
  CLI::App* jobs_ = nullptr;
  CLI::App* cancel_ = nullptr;
  CLI::App* note_ = nullptr;
  std::vector<std::string> behind_;
  SubmitWish wish_;
  std::string which_;  // campaign or job
  bool json_ = false;
  std::string noted_;  // what happened, for note
  int code_ = 0;
};

}  // namespace rankview::cli
