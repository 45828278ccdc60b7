// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace rankview::submit {

// A time as people write it: 2:00:00, 1-12:00:00 (days before), 90m, 1h30m, 2d, 45s. Throws UsageError for anything else: what a plain
// number or 30:00 mean differs from one batch system to the next.
std::chrono::seconds parse_time(const std::string& text);

// Memory in bytes: 4G, 500M, 1.5T, with K, M, G, T as powers of 1024, and B or iB behind them if you like. Throws UsageError for anything
// else, a plain number among it.
std::uint64_t parse_memory(const std::string& text);

// What a job wants of a batch system. Zero and empty stand for what was not asked for.
struct Resources {
  int engines = 0;  // of the program, besides rank 0
  int nodes = 0;
  int per_node = 0;                   // ranks on each
  int cores = 0;                      // of each rank
  std::uint64_t memory = 0;           // bytes on each node
  std::uint64_t memory_per_core = 0;  // or for each core
  int gpus = 0;                       // on each node
  std::chrono::seconds time{0};
  bool exclusive = false;
  std::string parallel_environment;  // Grid Engine's name for where MPI runs
  std::string name;
  std::string queue;
  std::string account;
  std::string output;  // the file
  std::string mail;    // whom to tell of the end
};

// The same, with what follows from it.
struct Shape {
  int ranks = 0;     // of all nodes
  int nodes = 0;     // 0: as the batch system likes
  int per_node = 0;  // 0: likewise
  int cores = 1;     // of each rank
};
// Throws UsageError if it does not say how many ranks there are to be, or says it twice and differently.
Shape shape_of(const Resources& wanted);

}  // namespace rankview::submit
