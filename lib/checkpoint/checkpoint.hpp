// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "checkpoint/contents.hpp"
#include "checkpoint/disk.hpp"
#include "checkpoint/frames.hpp"
#include "checkpoint/journals.hpp"
#include "checkpoint/key.hpp"
#include "checkpoint/own_journal.hpp"
#include "checkpoint/sharing.hpp"
#include "transport/clock.hpp"

#include <rankview/detail/buffer.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rankview::checkpoint {

// What was found of a key: a value, or why the item failed.
enum class Found { nothing, result, failure };

// A directory of journals: what has been finished, by whichever job. Each job appends to one of its own, and reads all. Thread-safe.
//
// What is added is written and synced by a thread of its own, in groups: within half a second, or at once where somebody waits for it. A
// disk that takes no more costs a warning; what it did not take goes into a new journal when it does again.
class Checkpoint {
 public:
  static constexpr std::uint64_t not_added = 0;

  struct Settings {
    Origin origin;                                 // who writes
    std::chrono::milliseconds delay{300};          // from adding to writing
    std::chrono::milliseconds retry{1000};         // after a failure
    std::chrono::milliseconds patience{60'000};    // while somebody rewrites the journals
    std::size_t most_unwritten = 256U << 20U;      // bytes; beyond that results are not kept
    std::function<void(const std::string&)> warn;  // is told a line; from any thread
    transport::Clock clock;                        // by which it waits
    // Whether to split the work with other jobs that use it, and how long one of them may be silent; zero: not at all.
    std::chrono::milliseconds lease{0};
    std::function<void()> attend;  // see Sharing::Settings
    // What is noted of results, since the epoch.
    std::function<std::chrono::nanoseconds()> now = [] { return std::chrono::system_clock::now().time_since_epoch(); };
  };

  // Reads what there is. Throws std::system_error, or UsageError for a directory that is not to be trusted.
  Checkpoint(Disk& disk, std::string directory, Settings settings);
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;
  // Writes what is left.
  ~Checkpoint();

  // A number for what is called, here. Throws UsageError if results of that name and version are there that are of another type; `what`
  // says of what.
  std::uint32_t enlist(const Callable& callable, const std::string& what);
  std::uint32_t enlist(const Callable& callable) { return enlist(callable, callable.shown); }
  // Adds the value, or the text of the failure, to `into`. `on_disk`: finds only what is on disk, and waits for it to come there.
  Found find(const Key& key, detail::Buffer& into, bool on_disk = false);
  // Adds what has been finished, and gives the number of the addition, or not_added if there is no room, since the disk takes nothing.
  std::uint64_t add(std::uint32_t callable, const Key& key, Bytes value);
  std::uint64_t add_failure(std::uint32_t callable, const Key& key, std::string_view why);
  // The latest addition that is on disk, with all before it.
  [[nodiscard]] std::uint64_t durable() const { return progress_.durable.load(std::memory_order_acquire); }
  // From here on nothing that was added waits for company.
  void hurry();
  // Waits until all that was added by now is on disk; false if the disk does not take it, or not within the limit.
  bool flush(std::optional<std::chrono::milliseconds> limit = std::nullopt);
  // Whether the disk does not take what is added.
  [[nodiscard]] bool troubled() const { return progress_.troubled.load(std::memory_order_acquire); }
  // Why the disk does not take what is added, or nothing.
  [[nodiscard]] std::string trouble() const;
  // Versions under which results of a name are there.
  [[nodiscard]] std::vector<std::string> versions(const std::string& name) const;

  // Finds from here on what other jobs have put on disk meanwhile.
  void read_on();
  // How the work is split with other jobs; null if it is not.
  [[nodiscard]] Sharing* sharing() const { return sharing_.get(); }

  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] std::size_t size() const;

 private:
  // How far the thread that writes has come, and what it is to do.
  struct Progress {
    std::uint64_t additions = 0;
    std::uint64_t dropped = 0;  // which there was no room for
    std::uint64_t rounds = 0;   // of writing, whatever came of it
    bool hurried = false;       // nothing is to wait for company
    int flushes = 0;            // that are waited for
    bool quitting = false;
    std::string trouble;
    std::atomic<std::uint64_t> durable{0};
    std::atomic<bool> troubled{false};
  };

  void begin_use();
  void read_all();
  void read_new(const std::string& name);
  void read(const std::string& name);
  void read_on(std::size_t number);
  [[nodiscard]] std::string job_name() const;
  void tell_damage(const std::string& name, const Damage& damage) const;
  [[nodiscard]] bool is_on_disk(const Key& key) const;
  bool read_entry_at(Place place, const Key& key, detail::Buffer& into);
  std::size_t read_at(const Place& place, std::span<std::byte> into);
  [[nodiscard]] bool has_room(std::size_t bytes);
  std::uint64_t note_addition(const Key& key, const Place& place);
  bool begin_journal();
  void set_trouble(std::string why);
  [[nodiscard]] std::uint32_t age() const;
  void write_now_and_then();
  void write(std::unique_lock<std::mutex>& guard);
  std::string write_ours(const std::string& name, File* file);
  void write_elsewhere();

  Disk& disk_;
  const std::string directory_;
  const Settings settings_;

  std::unique_ptr<Hold> used_;  // null where files cannot be held

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Journals journals_;
  OwnJournal ours_;
  Contents contents_;
  std::vector<Callable> callables_;  // that this job calls, by number
  Progress progress_;

  transport::Thread thread_;
  std::unique_ptr<Sharing> sharing_;
};

}  // namespace rankview::checkpoint
