// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "farm/allotment.hpp"
#include "farm/interrupts.hpp"
#include "farm/slot_pool.hpp"
#include "farm/workers.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace rankview::cli {

// Arguments on the command line, or files of them: ::: a b, :::: file, and with a + in step with those before.
struct ArgumentSource {
  bool files = false;
  bool linked = false;
  std::vector<std::string> words;
};

// What somebody wants run, as it was said.
struct FarmWish {
  std::vector<std::string> files;  // of lines: tasks.txt, --arg-file
  std::vector<std::string> command;
  std::vector<ArgumentSource> sources;

  std::string jobs;  // how many at a time
  bool keep_order = false;
  bool ungroup = false;
  bool tag = false;
  std::string tagstring;
  std::string results;
  bool dry_run = false;
  std::string shell;
  std::string tmpdir;

  std::string delimiter;
  bool null = false;
  std::string colsep;
  bool no_run_if_empty = false;

  std::string joblog;
  std::string checkpoint;
  bool resume = false;
  bool resume_failed = false;
  bool failed = false;
  bool explain = false;

  std::string cores;
  std::string memory;
  std::string memory_growth;
  std::string gpus;

  std::string retries;
  std::string timeout;
  std::string halt;
  std::string delay;
};

// Takes the command and its arguments from the end of the words: what stands behind --, or from the first ::: on.
void split_farm_words(std::vector<std::string>& words, FarmWish& wish);
// Throws UsageError, naming it, for an option of GNU parallel's that is not offered.
void refuse_unoffered(const std::vector<std::string>& words);

// How many commands run at a time: a number, +N or -N beside the cores, N% of them, or 0 for as many as possible. Throws UsageError.
std::size_t slots_of(const std::string& jobs, unsigned cores);
// Of --delimiter, which may be a backslash and a letter or number. Throws UsageError.
char delimiter_of(const std::string& text);

// Makes who runs commands: `slots` of its terms are those of this host, `each` those that every host is to have, 0 for as many as it has
// cores; `complain` is told a line, and stays.
using MakeWorkers = std::function<std::unique_ptr<farm::Workers>(farm::SlotTerms terms, std::size_t each,
                                                                 const std::function<void(const std::string&)>& complain)>;

// Commands run on this host. Gives the exit code. Throws UsageError for wishes that make no sense, and std::system_error.
int run_farm(const FarmWish& wish);
// Others run them.
int run_farm(const FarmWish& wish, farm::Interrupts& interrupts, farm::Allotment& allotment, const MakeWorkers& make_workers);

// Whether this process is one of several of an MPI program.
bool is_part_of_mpi_program();
// The same farm by engines, one on each host where this process is among several, which may be of one allocation; see mpirun(1).
int run_farm_on_engines(const FarmWish& wish, int argc, char** argv);
// How many hosts the allocation has that this process is in; 1 where there is none.
int hosts_of_allocation();

}  // namespace rankview::cli
