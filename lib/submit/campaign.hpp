// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace rankview::submit {

// What has happened to a job of a campaign.
struct Event {
  enum class Kind : std::uint8_t {
    submitted,
    started,
    ended,
    cancelled,
    given_up,  // it is not submitted again, since nothing gets done
  };

  std::int64_t time = 0;  // seconds since the epoch
  Kind kind = Kind::submitted;
  std::string job;                    // its id; empty for all of the campaign
  std::string host{};                 // where it has started
  int code = 0;                       // with which it has ended
  std::optional<std::uint64_t> done;  // how many tasks it did, where that is known
};

// A job, by what its campaign knows.
struct KnownJob {
  std::string id;
  std::int64_t submitted = 0;
  std::optional<Event> started;
  std::optional<Event> ended;
  bool cancelled = false;
};

// A directory in which stands what was submitted and how it went: the jobs themselves write that, so it is known when the batch system has
// forgotten them. Lines are appended, each by one write, so several jobs may do so at a time.
class Campaign {
 public:
  // Of those of one name only so many in a row may get nothing done.
  static constexpr std::size_t most_barren = 3;
  // Exit code of a program that wants to be started again.
  static constexpr int requeue_code = 75;

  struct Terms {
    std::string system;       // the batch system's name; "here" for none
    bool until_done = false;  // submitted again until nothing is left
  };

  // Makes a new one in that directory, with the script of its jobs. A name that is taken gets a number. Throws std::system_error.
  static Campaign create(const std::filesystem::path& base, const std::string& name, const Terms& terms);
  // Throws UsageError if there is none, or what stands there is no campaign.
  static Campaign open(const std::filesystem::path& directory);
  // All of a directory, in the order of their names.
  static std::vector<Campaign> all(const std::filesystem::path& base);

  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }
  [[nodiscard]] std::string name() const { return directory_.filename().string(); }
  [[nodiscard]] const Terms& terms() const { return terms_; }
  [[nodiscard]] std::filesystem::path script() const { return directory_ / "job.sh"; }
  // Throws std::system_error.
  void write_script(const std::string& text) const;

  // Throws std::system_error.
  void add(const Event& event) const;
  // Lines that are torn or not understood are left out.
  [[nodiscard]] std::vector<Event> events() const;
  [[nodiscard]] std::vector<KnownJob> jobs() const;
  // Whether that job, which has ended with requeue_code, is to be submitted again. `why_not` is told a sentence where that has to be said.
  [[nodiscard]] bool goes_on(const std::string& job, std::string& why_not) const;

 private:
  Campaign(std::filesystem::path directory, Terms terms) : directory_(std::move(directory)), terms_(std::move(terms)) {}

  std::filesystem::path directory_;
  Terms terms_;
};

[[nodiscard]] const char* to_string(Event::Kind kind);

}  // namespace rankview::submit
