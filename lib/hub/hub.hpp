// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "hub/events.hpp"
#include "hub/rows.hpp"
#include "hub/task_database.hpp"

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace rankview::hub {

// Writes what happens into a database, and is never in the way: what the controller says is put down here, and a thread of its own makes
// rows of it, some times a second. If that cannot keep up, or the disk is full, what is told of tasks becomes less, and how much that is
// stands in the run's row; no result is lost for it, and nobody waits.
class Hub final : public TaskDatabase {
 public:
  // So many tasks and events may wait, which take some 40 and 200 bytes each. Above that, tasks that went well are counted; above twice as
  // many, calls and failures, too.
  static constexpr std::size_t most_waiting = 4'000'000;

  // And so many bytes of arguments and results, with as many that are being written; what comes above that is counted.
  static constexpr std::size_t most_kept = std::size_t{128} << 20U;

  // `name_of`: null for what the loader knows. Throws std::exception if the file cannot be opened.
  explicit Hub(std::string path, NameOf name_of = nullptr);
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;
  // Behind this all is on disk that could be written.
  ~Hub() override;

  void add(Event event, std::size_t tasks) override;
  void flush() override;
  Table query(const std::string& sql, const Values& values = {}) override;
  void change(const std::vector<std::string>& statements, const Values& values = {}) override;
  std::int64_t run() override { return run_; }

 private:
  static std::uint64_t reduce(Event event, std::vector<Event>& into);
  void write_now_and_then();
  void write(std::vector<Event> events, const Missing& missing);

  const std::string path_;
  Rows rows_;            // the thread's
  bool warned_ = false;  // likewise
  std::atomic<std::int64_t> run_{0};

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::vector<Event> events_;  // not written
  std::size_t waiting_ = 0;    // tasks and events among these
  std::size_t kept_ = 0;       // bytes of arguments and results among these
  Missing missing_;            // of this run
  std::uint64_t asked_ = 0;    // how often somebody has begun to wait until all is written
  std::uint64_t served_ = 0;   // and for how many of these it has been
  bool quitting_ = false;
  std::thread thread_;
};

}  // namespace rankview::hub
