// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "submit/batch_system.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace rankview::submit {

// What a batch script is made of.
struct ScriptTerms {
  BatchSystem system = BatchSystem::slurm;
  std::vector<Directive> directives;
  std::vector<std::string> added;    // lines for the system besides, without the mark
  std::vector<std::string> skipped;  // a directive with one of these words in it is left out
  std::string made_by;               // the command that was typed
  std::string directory;             // where the job runs
  std::string rankview;              // this command, by which the job notes how it goes
  std::string campaign;              // where
  std::chrono::seconds walltime{0};  // 0 for one that is not known
  std::string output;                // with a job's number behind it, where the batch system has no sign for that; empty elsewhere
  std::vector<std::string> command;  // what is run, as in a shell
};

// The script, from the template: its text with {directives}, {directory}, {command} and the others of template_of_script() replaced; other
// braces are left as they are. Throws UsageError if it has no {command}.
std::string script(const ScriptTerms& terms, const std::string& from);
// What is taken where nobody gives another.
[[nodiscard]] const char* template_of_script();

}  // namespace rankview::submit
