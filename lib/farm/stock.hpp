// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "farm/job.hpp"
#include "farm/needs.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rankview::farm {

// What of a host is free.
class Stock {
 public:
  explicit Stock(Capacity all) : all_(std::move(all)), cores_(all_.cores), memory_(all_.memory), gpus_(all_.gpus) {}

  [[nodiscard]] const Capacity& all() const { return all_; }
  [[nodiscard]] bool has(const Needs& needs) const {
    return needs.cores <= cores_ && needs.gpus <= gpus_.size() && (all_.memory == 0 || needs.memory <= memory_);
  }
  // Takes that, and gives the names of the GPUs. There has to be enough.
  std::vector<std::string> take(const Needs& needs) {
    cores_ -= needs.cores;
    if (all_.memory != 0) memory_ -= needs.memory;
    std::vector<std::string> gpus(gpus_.end() - static_cast<std::ptrdiff_t>(needs.gpus), gpus_.end());
    gpus_.resize(gpus_.size() - needs.gpus);
    return gpus;
  }
  void give_back(const Needs& needs, const std::vector<std::string>& gpus) {
    cores_ += needs.cores;
    if (all_.memory != 0) memory_ += needs.memory;
    gpus_.insert(gpus_.end(), gpus.begin(), gpus.end());
  }

 private:
  const Capacity all_;
  std::size_t cores_;
  std::uint64_t memory_;
  std::vector<std::string> gpus_;
};

// Commands that wait for a host. Where the first one does not fit yet, those behind it that do go before it, but not for ever.
class Backlog {
 public:
  // So many go before one that does not fit, and so many are looked at to find one that does.
  static constexpr std::size_t overtaking = 64;

  void add(Job job) { jobs_.push_back(std::move(job)); }
  [[nodiscard]] std::size_t size() const { return jobs_.size(); }
  [[nodiscard]] bool any_for(const Stock& stock) const { return find(stock) != jobs_.size(); }
  // The next that fits, if there is one.
  std::optional<Job> take(const Stock& stock) {
    const std::size_t at = find(stock);
    if (at == jobs_.size()) return std::nullopt;
    overtaken_ = at == 0 ? 0 : overtaken_ + 1;
    Job job = std::move(jobs_[at]);
    jobs_.erase(jobs_.begin() + static_cast<std::ptrdiff_t>(at));
    return job;
  }
  // All of them.
  std::deque<Job> take_all() {
    overtaken_ = 0;
    return std::exchange(jobs_, {});
  }

 private:
  // Where it stands; beyond the last for none.
  [[nodiscard]] std::size_t find(const Stock& stock) const {
    const std::size_t end = std::min(jobs_.size(), overtaken_ < overtaking ? overtaking : 1);
    for (std::size_t i = 0; i < end; ++i) {
      if (stock.has(jobs_[i].needs)) return i;
    }
    return jobs_.size();
  }

  std::deque<Job> jobs_;
  std::size_t overtaken_ = 0;  // how often the first one has been
};

}  // namespace rankview::farm
