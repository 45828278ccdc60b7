// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "doctor/ranks.hpp"

#include <rankview/rankview.hpp>

#include <boost/mpi/communicator.hpp>

#include <mpi.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace rankview::doctor {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int round_trips = 300;
constexpr std::size_t long_message = 8U << 20U;  // bytes

std::string host_of_engine() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

int nothing() { return 0; }

std::int64_t time_there() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::uint64_t length_of(const std::vector<char>& data) { return data.size(); }

// Of each pair of engines that this one is the first of: gigabytes a second there and back.
std::vector<double> speeds(const boost::mpi::communicator& team) {
  constexpr int times = 10;
  std::vector<char> data(long_message);
  std::vector<double> own;
  for (int first = 0; first < team.size(); ++first) {
    for (int second = first + 1; second < team.size(); ++second) {
      MPI_Barrier(team);
      if (team.rank() != first && team.rank() != second) continue;
      const int other = team.rank() == first ? second : first;
      const auto count = static_cast<int>(data.size());
      Clock::time_point begun;
      for (int i = -1; i < times; ++i) {
        if (i == 0) begun = Clock::now();
        if (team.rank() == first) MPI_Send(data.data(), count, MPI_BYTE, other, 0, team);
        MPI_Recv(data.data(), count, MPI_BYTE, other, 0, team, MPI_STATUS_IGNORE);
        if (team.rank() == second) MPI_Send(data.data(), count, MPI_BYTE, other, 0, team);
      }
      const double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
      if (team.rank() == first) own.push_back(2.0 * times * static_cast<double>(long_message) / seconds * 1e-9);
    }
  }
  return own;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::string rounded(double value) {
  std::ostringstream text;
  text.precision(3);
  text << value;
  return text.str();
}

// What rank 0 has with one engine.
struct Measured {
  double round_trip = 0;  // microseconds
  double offset = 0;      // of its clock, microseconds
  double speed = 0;       // gigabytes a second, there
};

Measured measure(const EngineView& engine) {
  Measured measured;
  std::vector<double> trips;
  double shortest = 1e9;
  for (int i = 0; i < round_trips; ++i) {
    const auto begun = Clock::now();
    engine.apply_sync(nothing);
    trips.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begun).count());
    // What took least tells most of the clock.
    const std::int64_t before = time_there();
    const std::int64_t there = engine.apply_sync(time_there);
    const std::int64_t after = time_there();
    if (static_cast<double>(after - before) >= shortest) continue;
    shortest = static_cast<double>(after - before);
    measured.offset = (static_cast<double>(there) - static_cast<double>(before) - shortest / 2) * 1e-3;
  }
  measured.round_trip = median(std::move(trips));
  const std::vector<char> data(long_message);
  std::vector<double> times;
  for (int i = 0; i < 7; ++i) {
    const auto begun = Clock::now();
    engine.apply_sync(length_of, data);
    times.push_back(std::chrono::duration<double>(Clock::now() - begun).count());
  }
  measured.speed = static_cast<double>(long_message) / median(std::move(times)) * 1e-9;
  return measured;
}

void check_threads(Findings& findings) {
  int level = MPI_THREAD_SINGLE;
  MPI_Query_thread(&level);
  const char* const name = level == MPI_THREAD_MULTIPLE     ? "MPI_THREAD_MULTIPLE"
                           : level == MPI_THREAD_SERIALIZED ? "MPI_THREAD_SERIALIZED"
                           : level == MPI_THREAD_FUNNELED   ? "MPI_THREAD_FUNNELED"
                                                            : "MPI_THREAD_SINGLE";
  Finding finding{Level::fine, "threads", std::string("MPI gives ") + name};
  if (level != MPI_THREAD_MULTIPLE) {
    finding.level = Level::warning;
    finding.advice = "rank 0 then makes progress only while its main thread is in a call of rankview's, and engines only between tasks";
  }
  findings.push_back(std::move(finding));
}

}  // namespace

Findings examine_ranks(Client& client, bool pairs) {
  Findings findings;
  check_threads(findings);
  const std::vector<std::string> hosts = client[all].apply_sync(host_of_engine);
  std::map<std::string, int> engines_of;
  for (const std::string& host : hosts) ++engines_of[host];
  std::string text = std::to_string(hosts.size()) + " on ";
  for (const auto& [host, count] : engines_of) text += (text.back() == ' ' ? "" : ", ") + host + " (" + std::to_string(count) + ")";
  findings.push_back({Level::fine, "engines", text});

  const std::vector<int> ids = client.ids();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const Measured found = measure(client[ids[i]]);
    Finding finding{Level::fine, "engine " + std::to_string(ids[i]),
                    "on " + hosts[i] + ": round trip of a task " + rounded(found.round_trip) + " us, an argument of 8 MiB at " +
                        rounded(found.speed) + " GB/s, its clock is " + rounded(found.offset) + " us ahead"};
    if (found.round_trip > 1000) {
      finding.level = Level::warning;
      finding.advice = "that is long: are there more ranks than cores, all bound to one, or does it go by a slow network?";
    } else if (found.offset > 1e5 || found.offset < -1e5) {
      finding.level = Level::warning;
      finding.advice = "times of tasks on different hosts cannot be compared: synchronise the clocks (chrony)";
    }
    findings.push_back(std::move(finding));
  }
  if (!pairs || ids.size() < 2) return findings;
  const std::vector<std::vector<double>> rows = client[all].apply_sync(speeds);
  std::vector<double> every;
  for (const auto& row : rows) every.insert(every.end(), row.begin(), row.end());
  const double usual = median(every);
  findings.push_back({Level::fine, "bandwidth",
                      "between engines " + rounded(usual) + " GB/s, the slowest pair " +
                          rounded(*std::min_element(every.begin(), every.end())) + ", the fastest " +
                          rounded(*std::max_element(every.begin(), every.end()))});
  for (std::size_t first = 0; first < rows.size(); ++first) {
    for (std::size_t k = 0; k < rows[first].size(); ++k) {
      if (rows[first][k] >= usual / 3) continue;
      const std::size_t second = first + 1 + k;
      findings.push_back({Level::warning, "bandwidth",
                          "engine " + std::to_string(ids[first]) + " on " + hosts[first] + " and engine " + std::to_string(ids[second]) +
                              " on " + hosts[second] + " have " + rounded(rows[first][k]) + " GB/s, a third of what others have, or less",
                          "look at that host's network, or leave it out"});
    }
  }
  return findings;
}

}  // namespace rankview::doctor
