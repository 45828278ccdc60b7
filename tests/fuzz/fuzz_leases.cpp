// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
// Whatever files lie in the directory of a checkpoint, and whatever two jobs do there, neither has what the other has once both have
// looked.
//
// The input is a line for each file that is there, and behind an empty line what is done, a byte each.
#include "checkpoint/leases.hpp"
#include "memory_disk.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

using namespace rankview::checkpoint;

namespace {

constexpr std::chrono::seconds stale{30};

// A job that looks after its leases, or has died.
struct Job {
  std::string name;
  std::unique_ptr<Leases> leases;
};

void act(test::MemoryDisk& disk, Job& job, unsigned what, unsigned how) {
  if (job.leases == nullptr) {
    if (what == 5) job.leases = std::make_unique<Leases>(disk, "d", job.name, stale);
    return;
  }
  Leases& leases = *job.leases;
  std::vector<std::uint32_t> some;
  for (std::uint32_t i = 0; i < how; ++i) some.push_back((how * 37 + i * 11) % Leases::buckets);
  switch (what) {
    case 0:
    case 1:
      leases.look();
      break;
    case 2:
      if (leases.mode() == Leases::Mode::sharing) leases.get(some, how);
      break;
    case 3:
      if (leases.mode() == Leases::Mode::asked) leases.share(some);
      break;
    case 4:
      if (leases.mode() == Leases::Mode::sharing && leases.holds(how * 7)) leases.give_back(how * 7);
      break;
    case 6:
      job.leases.reset();
      break;
    default:
      break;
  }
}

bool has(const Job& job, std::uint32_t bucket) {
  if (job.leases == nullptr) return false;
  const Leases::Mode mode = job.leases->mode();
  return mode == Leases::Mode::alone || mode == Leases::Mode::asked || (mode == Leases::Mode::sharing && job.leases->holds(bucket));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  test::MemoryDisk disk;
  while (!input.empty() && input.front() != '\n') {
    const std::size_t end = std::min(input.find('\n'), input.size());
    const std::string path = "d/" + std::string(input.substr(0, end));
    if (!disk.files.contains(path)) disk.create(path);
    input.remove_prefix(std::min(end + 1, input.size()));
  }
  std::array<Job, 2> jobs{{{"job-h1-1-1", nullptr}, {"job-h2-2-2", nullptr}}};
  for (const char each : input) {
    const auto byte = static_cast<unsigned char>(each);
    if (byte % 8 == 7) {
      disk.pass(std::chrono::seconds(byte / 8));
    } else {
      act(disk, jobs[byte / 8 % 2], byte % 8, byte / 16U);
    }
    for (Job& job : jobs) {
      if (job.leases != nullptr) job.leases->look();
    }
    for (std::uint32_t bucket = 0; bucket < Leases::buckets; ++bucket) {
      if (!has(jobs[0], bucket) || !has(jobs[1], bucket)) continue;
      std::fprintf(stderr, "not right: both have bucket %u\n", bucket);
      std::abort();
    }
  }
  return 0;
}
