// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "checkpoint/disk.hpp"
#include "checkpoint/key.hpp"
#include "transport/clock.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace rankview::checkpoint {

inline constexpr std::string_view job_beginning = "job-";
inline constexpr std::string_view lease_beginning = "lease-";

// How the jobs that use a directory split its work: keys fall into buckets, and each bucket is leased by one job at a time. Who is alone
// has all of them by one lease, until it sees another job.
//
// A job has a file of its own, in which its name stands; it holds that, and touches it now and then. A lease is another name of that file,
// a hard link, which is made or not in one step, on network file systems, too; so it is renewed with the file. It is stale when the job has
// not touched that for a while, by the time of the file server, or, which is known sooner on the same host, does not hold it any more. A
// stale lease is taken over under a name with a higher number, so that of several who try one has it. A job that was stopped for long, and
// goes on, sees that it has lost what it had. Whatever goes wrong, work may be done twice; no result is wrong.
//
// For one thread at a time.
class Leases {
 public:
  static constexpr std::uint32_t buckets = 256;
  [[nodiscard]] static std::uint32_t bucket_of(const Key& key) { return static_cast<std::uint32_t>(key.high % buckets); }

  enum class Mode {
    waiting,  // another job has all of it, and does not know of this one yet, or has died
    alone,    // all is this job's
    asked,    // likewise, and another job is there: it is to say what it has begun, by share()
    sharing,  // what it holds is its own
    off,      // there are no leases here: all is everybody's
  };

  // `stale`: after so long without a sign of its holder a lease is nobody's. `clock`: by which it waits, not what leases are judged by.
  Leases(Disk& disk, std::string directory, const std::string& job, std::chrono::nanoseconds stale, const transport::Clock& clock = {});
  Leases(const Leases&) = delete;
  Leases& operator=(const Leases&) = delete;
  // Gives back what it holds.
  ~Leases();

  // What a look at the directory has changed.
  struct Changes {
    std::vector<std::uint32_t> gained;
    std::vector<std::uint32_t> lost;
  };
  // Renews what is held, and sees what has become of others. Throws nothing: what the disk refuses is the end of leases here.
  Changes look();
  // Tries to get some of these, in that order, until it has `most` of them. While sharing.
  Changes get(const std::vector<std::uint32_t>& wanted, std::size_t most);
  // When asked to: keeps these, and gives others back.
  Changes share(const std::vector<std::uint32_t>& begun);
  void give_back(std::uint32_t bucket);

  [[nodiscard]] Mode mode() const { return mode_; }
  [[nodiscard]] bool holds(std::uint32_t bucket) const { return held_.contains(bucket); }
  [[nodiscard]] const std::string& trouble() const { return trouble_; }

 private:
  // Of each lease, by what it is of, the numbers that there are.
  using Listed = std::map<std::uint32_t, std::set<std::uint64_t>>;
  struct Seen {
    Listed leases;
    std::vector<std::string> jobs;  // other than this
  };

  void hold(const transport::Clock& clock);
  [[nodiscard]] Seen list() const;
  [[nodiscard]] bool is_fresh(const std::string& name) const;
  [[nodiscard]] bool is_of_this_host(const std::string& name) const;
  // The highest lease of that, if it is another's and fresh.
  [[nodiscard]] bool is_others(const Seen& seen, std::uint32_t of) const;
  [[nodiscard]] bool any_bucket_of_others(const Seen& seen) const;
  bool take(const Seen& seen, std::uint32_t of);
  void drop(std::uint32_t of);
  void find_place(const Seen& seen);
  void note_lost(const Seen& seen, Changes& changes);
  void switch_off(const std::string& why);
  [[nodiscard]] static std::string lease_name(std::uint32_t of, std::uint64_t number);
  [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name; }

  static constexpr std::size_t most_of_name = 512;
  static constexpr std::uint32_t all = buckets;  // the lease of everything

  Disk& disk_;
  const std::string directory_;
  const std::string job_;  // the name of its file
  const std::chrono::nanoseconds stale_;
  std::unique_ptr<Hold> hold_;       // of its file, by which others know that it lives
  std::chrono::nanoseconds now_{0};  // by the file server, when the file was touched last
  Mode mode_ = Mode::waiting;
  std::map<std::uint32_t, std::uint64_t> held_;  // the number of each lease
  std::string trouble_;
};

}  // namespace rankview::checkpoint
