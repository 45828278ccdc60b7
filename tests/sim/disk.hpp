// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "../memory_disk.hpp"
#include "world.hpp"

#include "checkpoint/leases.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace sim {

// A disk that outlives the runs of a history. What is written takes time, and may fail, as the world draws; what was not synced when the
// power is cut is there in part, or spoilt, or not at all.
class SimDisk final : public rankview::checkpoint::Disk {
 public:
  SimDisk();

  void make_directory(const std::string& path) override { files_.make_directory(path); }
  std::vector<std::string> list(const std::string& directory) override { return files_.list(directory); }
  std::unique_ptr<rankview::checkpoint::File> create(const std::string& path) override;
  std::unique_ptr<rankview::checkpoint::File> open(const std::string& path) override { return files_.open(path); }
  void check_directory(const std::string& path) override { files_.check_directory(path); }
  void sync_directory(const std::string& path) override;
  void remove(const std::string& path) override { files_.remove(path); }
  void rename(const std::string& from, const std::string& to) override { files_.rename(from, to); }
  std::unique_ptr<rankview::checkpoint::Hold> hold(const std::string& path, bool alone) override { return files_.hold(path, alone); }
  bool is_held(const std::string& path) override { return files_.is_held(path); }
  bool link(const std::string& from, const std::string& to) override;
  std::chrono::nanoseconds touch(const std::string& path) override;
  std::optional<std::chrono::nanoseconds> touched(const std::string& path) override { return files_.touched(path); }

  // Whether it may fail from here on.
  void set_faulty(bool faulty) { faulty_ = faulty; }
  // What is there if the power is cut now.
  [[nodiscard]] std::unique_ptr<SimDisk> cut() const;

 private:
  class Open;

  void pass_time();

  test::MemoryDisk files_;
  bool faulty_ = false;
};

// What a history has of checkpoints: its disk, what it knows to be kept when the power is cut, and in the run behind that, what is run.
struct Kept {
  static constexpr const char* directory = "/kept";

  std::unique_ptr<SimDisk> disk = std::make_unique<SimDisk>();
  bool strict = false;
  int asked = 0;              // arguments of tasks are below
  std::set<int> handed_out;   // those whose results the client has had, where that is strict
  std::uint64_t durable = 0;  // additions that are on disk, as the library says, when the power is cut
  std::set<int> promised;     // then
  std::unique_ptr<SimDisk> after_cut;
  std::function<void()> cut;  // cuts the power, where that is to happen at some time
  bool second_run = false;
  std::vector<std::unique_ptr<rankview::checkpoint::Leases>> dead;  // what other jobs had that gave no sign of life any more
};

// Of the history that runs.
Kept& kept();
void set_kept(Kept* of_history);

}  // namespace sim
