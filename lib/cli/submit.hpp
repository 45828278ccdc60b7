// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "submit/batch_system.hpp"
#include "submit/commands.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace rankview::cli {

// What somebody wants submitted.
struct SubmitWish {
  submit::Resources resources;
  std::string time;  // as it was typed, as is what follows
  std::string memory;
  std::string memory_per_core;
  std::string system;           // empty for the one that is here
  std::string script_template;  // a file, empty for ours
  std::vector<std::string> added;
  std::vector<std::string> skipped;
  bool until_done = false;
  int jobs = 1;
  std::string fake_walltime;
  bool interactive = false;
  bool dry_run = false;
  std::vector<std::string> program;
};

// Where something is submitted from.
struct SubmitPlace {
  std::filesystem::path directory;    // the jobs run there
  std::string rankview;               // this command
  std::string made_by;                // what was typed
  std::function<std::int64_t()> now;  // seconds since the epoch
};

// Each gives the exit code, and throws Error with what the batch system says, UsageError for what cannot be asked of it, std::system_error
// for a directory that cannot be written.
int submit_job(SubmitWish wish, const SubmitPlace& place, submit::Commands& commands, std::ostream& out);

// A script of ours says how its job goes: started, or ended and the code; the batch system says by the environment which it is. What has
// something left is submitted again, if that was asked for.
int note_job(const std::filesystem::path& campaign, const std::string& what, int code, const SubmitPlace& place, submit::Commands& commands,
             std::ostream& out);

// Lists what was submitted from here.
int list_jobs(const std::string& campaign, bool json, const SubmitPlace& place, submit::Commands& commands, std::ostream& out);
// Cancels a campaign, by its name, or one job of any, by its id.
int cancel_jobs(const std::string& which, const SubmitPlace& place, submit::Commands& commands, std::ostream& out);

}  // namespace rankview::cli
