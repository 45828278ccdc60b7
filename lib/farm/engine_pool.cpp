// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/engine_pool.hpp"

#include "farm/needs.hpp"
#include "farm/slot_pool.hpp"

#include <rankview/rankview.hpp>

#include <sched.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <memory>
#include <utility>

namespace rankview::farm {
namespace {

// Of the engine that this process is; null where there is none.
std::unique_ptr<SlotPool>& pool_of_engine() {
  static std::unique_ptr<SlotPool> pool;
  return pool;
}

SentEnd sent_of(End end) {
  SentEnd sent;
  sent.place = end.job.place;
  sent.cause = static_cast<int>(end.cause);
  sent.status = end.status;
  sent.signal = end.signal;
  sent.trouble = std::move(end.trouble);
  sent.started = end.started;
  sent.took = end.took.count();
  sent.memory = end.memory;
  sent.slot = end.slot;
  sent.out_size = end.out.size();
  // What lies in files is not printed.
  if (!end.job.results.empty()) return sent;
  sent.out = end.out.text();
  sent.err = end.err.text();
  return sent;
}

}  // namespace

EngineHost describe_engine() {
  EngineHost here;
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  here.host = host.data();
  const auto all_cores = static_cast<std::size_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  here.cores = all_cores;
  if (::sched_getaffinity(0, sizeof(allowed), &allowed) == 0) here.cores = static_cast<std::size_t>(std::max(1, CPU_COUNT(&allowed)));
  here.bound = here.cores < all_cores;
  Capacity capacity = capacity_here(here.cores);
  here.memory = capacity.memory;
  here.gpus = std::move(capacity.gpus);
  return here;
}

void begin_pool(std::size_t slots, const std::string& shell, const std::string& directory, bool captured, const EngineHost& here) {
  SlotTerms terms;
  terms.slots = slots;
  terms.shell = shell;
  terms.temporary_directory = directory;
  terms.captured = captured;
  terms.engine = this_engine::id();
  terms.host = here.host;
  pool_of_engine() = std::make_unique<SlotPool>(std::move(terms), Capacity{slots, here.memory, here.gpus});
}

void end_pool() { pool_of_engine().reset(); }

std::vector<SentEnd> exchange_on_engine(const Exchange& told) {
  SlotPool& pool = *pool_of_engine();
  pool.set_time_limit(std::chrono::nanoseconds(told.time_limit));
  for (const SentJob& sent : told.jobs) {
    Job job;
    job.number = sent.number;
    job.place = sent.place;
    job.attempt = sent.attempt;
    job.command.text = sent.text;
    job.command.slots.assign(sent.slots.begin(), sent.slots.end());
    job.results = sent.results;
    job.needs = {sent.cores, sent.memory, sent.gpus, std::chrono::nanoseconds(sent.timeout)};
    pool.start(std::move(job));
  }
  if (told.kill) pool.kill();
  pool.wait({}, exchange_limit);
  std::vector<SentEnd> ends;
  for (End& end : pool.take_ended()) ends.push_back(sent_of(std::move(end)));
  return ends;
}

}  // namespace rankview::farm
