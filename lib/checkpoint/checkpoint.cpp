// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "checkpoint/checkpoint.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <cstring>
#include <exception>
#include <limits>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

namespace rankview::checkpoint {
namespace {

// What is in memory, read as if it were a file.
class MemoryFile final : public File {
 public:
  explicit MemoryFile(Bytes bytes) : bytes_(bytes) {}
  std::uint64_t size() override { return bytes_.size(); }
  std::size_t read(std::uint64_t offset, std::span<std::byte> into) override {
    const auto from = static_cast<std::size_t>(std::min<std::uint64_t>(offset, bytes_.size()));
    const std::size_t count = std::min(into.size(), bytes_.size() - from);
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(from), count, into.begin());
    return count;
  }
  void append(Bytes) override {}
  void sync() override {}

 private:
  Bytes bytes_;
};

}  // namespace

Checkpoint::Checkpoint(Disk& disk, std::string directory, Settings settings)
    : disk_(disk), directory_(std::move(directory)), settings_(std::move(settings)) {
  disk_.make_directory(directory_);
  begin_use();
  read_all();
  thread_ = transport::Thread(settings_.clock, [this] { write_now_and_then(); });
  if (settings_.lease.count() == 0) return;
  Sharing::Settings sharing;
  sharing.job = job_name();
  sharing.stale = settings_.lease;
  sharing.look = std::min<std::chrono::milliseconds>(std::chrono::seconds(1), settings_.lease / 10);
  sharing.clock = settings_.clock;
  sharing.read_on = [this] { read_on(); };
  // No longer than leases last that are not renewed meanwhile.
  const auto patience = std::min<std::chrono::milliseconds>(std::chrono::seconds(10), settings_.lease / 3);
  sharing.flush = [this, patience] { flush(patience); };
  sharing.warn = settings_.warn;
  sharing.attend = settings_.attend;
  sharing_ = std::make_unique<Sharing>(disk_, directory_, std::move(sharing));
}

Checkpoint::~Checkpoint() {
  if (sharing_ != nullptr) sharing_->stop();
  {
    const std::lock_guard guard(mutex_);
    quitting_ = true;
  }
  changed_.notify_all();
  thread_.join();
  if (additions_ != durable_ || dropped_ != 0)
    settings_.warn("the checkpoint " + directory_ + " lacks " + std::to_string(additions_ - durable_ + dropped_) +
                   " tasks that have ended, which the next run does again" + (trouble_.empty() ? "" : ": " + trouble_));
  // What others may do now is on disk.
  sharing_.reset();
}

// Lets it be known that a job uses it. Who rewrites the journals is waited for.
void Checkpoint::begin_use() {
  const auto limit = settings_.clock.steady_now() + settings_.patience;
  try {
    while ((used_ = disk_.hold(path(std::string(used_name)), false)) == nullptr) {
      if (settings_.clock.steady_now() >= limit)
        throw UsageError("the checkpoint " + directory_ + " is being rewritten (rankview checkpoint); start again when that is over");
      settings_.clock.sleep(std::chrono::milliseconds(20));
    }
  } catch (const std::system_error&) {
    // Where files cannot be held nobody can hold it alone either.
  }
}

// ---- what there is -----------------------------------------------------------------------------------------------------------

void Checkpoint::read_all() {
  for (const std::string& name : disk_.list(directory_)) {
    if (name.ends_with(journal_ending)) read_new(name);
  }
}

void Checkpoint::read_new(const std::string& name) {
  try {
    read(name);
  } catch (const OfLaterVersion& later) {
    settings_.warn("the checkpoint's " + path(name) + " is of format " + std::to_string(later.format) + ", and this rankview knows " +
                   std::to_string(format_version) + "; what it says is left out");
  } catch (const std::exception& error) {
    settings_.warn("the checkpoint's " + path(name) + " cannot be read, and what it says is left out: " + error.what());
  }
}

void Checkpoint::read(const std::string& name) {
  if (journals_.size() >> Place::journal_bits != 0) throw UsageError("there are too many journals");
  const auto file = disk_.open(path(name));
  // Should reading fail halfway, what was read of it is there.
  const auto journal = static_cast<std::uint32_t>(journals_.size());
  journals_.push_back({name, nullptr, {}, true});
  Damage damage;
  contents_.read(*file, journal, journals_[journal].read, damage);
  tell_damage(name, damage);
}

// A job's journals and what says that it lives begin alike.
std::string Checkpoint::job_name() const {
  const Origin& origin = settings_.origin;
  return origin.host + "-" + std::to_string(origin.process) + "-" + std::to_string(origin.began);
}

void Checkpoint::read_on() {
  try {
    const std::vector<std::string> names = disk_.list(directory_);
    const std::lock_guard guard(mutex_);
    std::set<std::string_view> known;
    for (const Journal& journal : journals_) known.insert(journal.name);
    const std::string mine = job_name() + "-";
    std::set<std::string_view> jobs;
    std::vector<std::string> added;
    for (const std::string& name : names) {
      if (name.starts_with(job_beginning)) jobs.insert(std::string_view(name).substr(job_beginning.size()));
      if (name.ends_with(journal_ending) && !name.starts_with(mine) && !known.contains(name)) added.push_back(name);
    }
    for (std::size_t number = 0; number < journals_.size(); ++number) {
      Journal& journal = journals_[number];
      if (number == ours_ || journal.name.starts_with(mine)) continue;
      // Of a job that has gone this is the last time.
      const bool lives = jobs.contains(std::string_view(journal.name).substr(0, journal.name.rfind('-')));
      if (journal.grows || lives) read_on(number);
      journal.grows = lives;
    }
    for (const std::string& name : added) read_new(name);
  } catch (const std::exception& error) {
    settings_.warn("the checkpoint " + directory_ + ": what other jobs have finished cannot be read: " + error.what());
  }
}

void Checkpoint::read_on(std::size_t number) {
  Journal& journal = journals_[number];
  try {
    const auto file = disk_.open(path(journal.name));
    if (file->size() <= journal.read.end) return;
    Damage damage;
    contents_.read(*file, static_cast<std::uint32_t>(number), journal.read, damage);
    tell_damage(journal.name, damage);
  } catch (const OfLaterVersion&) {
    // That was told when it was met.
  }
}

void Checkpoint::tell_damage(const std::string& name, const Damage& damage) const {
  if (damage.bytes != 0)
    settings_.warn("the checkpoint's " + path(name) + " is damaged: " + std::to_string(damage.bytes) + " bytes, the first at " +
                   std::to_string(damage.first) + ", say nothing; what they were about is done again");
  if (damage.later != 0)
    settings_.warn("the checkpoint's " + path(name) + " has " + std::to_string(damage.later) +
                   " records that only a later rankview knows; they are left out");
}

std::uint32_t Checkpoint::enlist(const Callable& callable, const std::string& what) {
  const std::lock_guard guard(mutex_);
  const auto number = std::find(callables_.begin(), callables_.end(), callable);
  if (number != callables_.end()) return static_cast<std::uint32_t>(number - callables_.begin());
  const auto [type, first] = contents_.result_types.try_emplace({callable.name, callable.version}, callable.result);
  if (type->second != callable.result)
    throw UsageError("the checkpoint " + directory_ + " has results of " + what + " that are " + type->second + ", and now " +
                     callable.shown + " gives " + callable.result + ": give it another Flags::version, or another directory");
  const auto next = static_cast<std::uint32_t>(callables_.size());
  callables_.push_back(callable);
  if (ours_ != none) {
    frames_.close(tail_);
    checkpoint::write(tail_, next, callable);
  }
  return next;
}

std::vector<std::string> Checkpoint::versions(const std::string& name) const {
  const std::lock_guard guard(mutex_);
  std::vector<std::string> versions;
  for (auto at = contents_.result_types.lower_bound({name, ""}); at != contents_.result_types.end() && at->first.first == name; ++at)
    versions.push_back(at->first.second);
  return versions;
}

std::size_t Checkpoint::size() const {
  const std::lock_guard guard(mutex_);
  return contents_.index.size();
}

Found Checkpoint::find(const Key& key, detail::Buffer& into, bool on_disk) {
  if (on_disk && !is_on_disk(key) && !flush()) return Found::nothing;
  const std::lock_guard guard(mutex_);
  const std::size_t before = into.size();
  try {
    Place place;
    if (contents_.index.find(key, place) && read_entry_at(place, key, into)) return place.failed ? Found::failure : Found::result;
  } catch (const std::system_error& error) {
    // It was there when this began.
    settings_.warn("the checkpoint " + directory_ + ": what was kept cannot be read, and is done again: " + error.what());
    cache_.clear();
    reading_.clear();
  }
  into.truncate(before);
  return Found::nothing;
}

// Whether what is there of the key, if anything is, survives.
bool Checkpoint::is_on_disk(const Key& key) const {
  const std::lock_guard guard(mutex_);
  Place place;
  return !contents_.index.find(key, place) || place.journal != ours_ || place.offset < written_;
}

// Adds what the entry holds, if it is the key's.
bool Checkpoint::read_entry_at(Place place, const Key& key, detail::Buffer& into) {
  std::byte head[entry_head];
  if (read_at(place, head) != sizeof(head)) return false;
  const Entry entry = read_entry(head);
  if (entry.key != key) return false;
  place.offset += sizeof(head);
  const auto size = static_cast<std::size_t>(entry.size);
  return read_at(place, {into.extend(size), size}) == size;
}

std::size_t Checkpoint::read_at(const Place& place, std::span<std::byte> into) {
  if (place.journal != ours_ || place.offset < written_) return read_file(place, into);
  std::uint64_t begin = written_;
  for (const detail::Buffer* part : {&writing_, &tail_}) {
    if (place.offset - begin < part->size()) {
      MemoryFile memory(part->bytes());
      return memory.read(place.offset - begin, into);
    }
    begin += part->size();
  }
  return 0;
}

// Whoever looks for what was done in the order in which it was done finds the next ones read already.
std::size_t Checkpoint::read_file(const Place& place, std::span<std::byte> into) {
  constexpr std::size_t much = 256 * 1024;
  constexpr std::size_t little = 4096;
  File& file = opened(place.journal);
  if (into.size() > little) return file.read(place.offset, into);
  const std::uint64_t behind = cached_.offset + cache_.size();
  const bool same = place.journal == cached_.journal && place.offset >= cached_.offset;
  if (!same || place.offset + into.size() > behind) {
    const bool goes_on = same && place.offset <= behind + much;
    cached_ = place;
    cache_.resize(goes_on ? much : little);
    cache_.resize(file.read(place.offset, cache_));
  }
  const auto from = static_cast<std::size_t>(place.offset - cached_.offset);
  const std::size_t count = std::min(into.size(), cache_.size() - from);
  std::copy_n(cache_.begin() + static_cast<std::ptrdiff_t>(from), count, into.begin());
  return count;
}

// A campaign may have more journals than a process may have open files.
File& Checkpoint::opened(std::uint32_t journal) {
  constexpr std::size_t most = 16;
  if (journals_[journal].file != nullptr) return *journals_[journal].file;
  for (const auto& [number, file] : reading_) {
    if (number == journal) return *file;
  }
  auto file = disk_.open(path(journals_[journal].name));
  if (reading_.size() == most) reading_.pop_front();
  return *reading_.emplace_back(journal, std::move(file)).second;
}

// ---- what is added -----------------------------------------------------------------------------------------------------------

std::uint64_t Checkpoint::add(std::uint32_t callable, const Key& key, Bytes value) {
  const std::lock_guard guard(mutex_);
  detail::Buffer* const tail = tail_for_addition(value.size());
  return tail == nullptr ? not_added : note_addition(key, frames_.add(*tail, callable, key, value), false);
}

std::uint64_t Checkpoint::add_failure(std::uint32_t callable, const Key& key, std::string_view why) {
  const std::lock_guard guard(mutex_);
  detail::Buffer* const tail = tail_for_addition(why.size());
  if (tail == nullptr) return not_added;
  frames_.close(*tail);
  const std::size_t before = tail->size();
  write_failure(*tail, callable, key, why, frames_.age());
  return note_addition(key, before + failure_entry, true);
}

// Where it goes; null where there is no room, since the disk takes nothing.
detail::Buffer* Checkpoint::tail_for_addition(std::size_t bytes) {
  if (!trouble_.empty() && writing_.size() + tail_.size() + bytes > settings_.most_unwritten) {
    ++dropped_;
    return nullptr;
  }
  if (ours_ == none && !begin_journal()) {
    ++dropped_;
    return nullptr;
  }
  return &tail_;
}

std::uint64_t Checkpoint::note_addition(const Key& key, std::size_t entry, bool failed) {
  contents_.index.add(key, {ours_, written_ + writing_.size() + entry, failed});
  ++additions_;
  if (hurried_) changed_.notify_all();
  return additions_;
}

// In memory; the file is made when there is something to be written.
bool Checkpoint::begin_journal() {
  if (journals_.size() >> Place::journal_bits != 0) {
    set_trouble("there are too many journals");
    return false;
  }
  ours_ = static_cast<std::uint32_t>(journals_.size());
  journals_.push_back({job_name() + "-" + std::to_string(journals_begun_++) + std::string(journal_ending), nullptr, {}, false});
  written_ = 0;
  checkpoint::write(tail_, settings_.origin);
  for (std::uint32_t number = 0; number < callables_.size(); ++number) checkpoint::write(tail_, number, callables_[number]);
  return true;
}

void Checkpoint::set_trouble(std::string why) {
  if (trouble_.empty() != why.empty())
    settings_.warn("the checkpoint " + directory_ + (why.empty() ? " is written again" : " cannot be written, and is tried again: " + why));
  trouble_ = std::move(why);
  troubled_.store(!trouble_.empty(), std::memory_order_release);
}

void Checkpoint::hurry() {
  const std::lock_guard guard(mutex_);
  hurried_ = true;
  changed_.notify_all();
}

bool Checkpoint::flush(std::optional<std::chrono::milliseconds> limit) {
  std::unique_lock guard(mutex_);
  const std::uint64_t wanted = additions_;
  // A round that is under way may have begun before.
  const std::uint64_t enough = rounds_ + 2;
  const auto over = [&] { return durable_ >= wanted || (rounds_ >= enough && !trouble_.empty()); };
  ++flushes_;
  changed_.notify_all();
  while (!settings_.clock.wait_for(changed_, guard, limit.value_or(std::chrono::hours(1)), over) && !limit) continue;
  --flushes_;
  return durable_ >= wanted;
}

std::string Checkpoint::trouble() const {
  const std::lock_guard guard(mutex_);
  return trouble_;
}

// ---- the thread that writes --------------------------------------------------------------------------------------------------

void Checkpoint::write_now_and_then() {
  std::unique_lock guard(mutex_);
  for (bool last = false; !last;) {
    const auto wanted = [this] { return quitting_ || ((hurried_ || flushes_ != 0) && additions_ != durable_ && trouble_.empty()); };
    settings_.clock.wait_for(changed_, guard, trouble_.empty() ? settings_.delay : settings_.retry, wanted);
    last = quitting_;
    frames_.set_age(age());
    if (additions_ != durable_) write(guard);
    ++rounds_;
    changed_.notify_all();
  }
}

// How long ago our journals began, in seconds.
std::uint32_t Checkpoint::age() const {
  const auto began = std::chrono::nanoseconds(settings_.origin.began);
  const auto passed = std::chrono::duration_cast<std::chrono::seconds>(settings_.now() - began);
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(passed.count(), 0, std::numeric_limits<std::uint32_t>::max()));
}

void Checkpoint::write(std::unique_lock<std::mutex>& guard) {
  frames_.close(tail_);
  writing_ = std::exchange(tail_, {});
  const std::uint64_t number = additions_;
  const std::string name = journals_[ours_].name;
  File* const file = journals_[ours_].file.get();
  guard.unlock();
  std::string why = write_ours(name, file);
  guard.lock();
  if (why.empty()) {
    written_ += writing_.size();
    writing_ = {};
    durable_.store(number, std::memory_order_release);
  } else {
    write_elsewhere();
  }
  set_trouble(std::move(why));
}

// Without the lock: nobody else changes what is being written. Gives why it cannot be, or nothing.
std::string Checkpoint::write_ours(const std::string& name, File* file) {
  try {
    if (file == nullptr) {
      auto made = disk_.create(path(name));
      file = made.get();
      const std::lock_guard guard(mutex_);
      journals_[ours_].file = std::move(made);
    }
    file->append(writing_.bytes());
    file->sync();
    if (written_ == 0) disk_.sync_directory(directory_);
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

// Nobody knows what of it is on disk, so all of it goes into another journal, as the first that is in it.
void Checkpoint::write_elsewhere() {
  frames_.close(tail_);
  detail::Buffer again = std::exchange(writing_, {});
  again.append(tail_.data(), tail_.size());
  tail_ = {};
  const bool useless = written_ == 0;
  if (useless && journals_[ours_].file != nullptr) {
    // Whatever there is of it is also in the other one; that it stays does no harm.
    try {
      disk_.remove(path(journals_[ours_].name));
    } catch (const std::exception& error) {
      settings_.warn("the checkpoint " + directory_ + ": " + error.what());
    }
  }
  // Others' may have come behind it; then its place stays, and nothing is there.
  if (useless && ours_ + 1 == journals_.size()) journals_.pop_back();
  begin_journal();
  MemoryFile memory(again.bytes());
  const auto add = [&](const Finished& finished) {
    const auto at = again.bytes().subspan(static_cast<std::size_t>(finished.entry));
    const Entry head = read_entry(at.first<entry_head>());
    const Bytes value = at.subspan(entry_head, static_cast<std::size_t>(head.size));
    std::size_t place = 0;
    frames_.set_age(finished.age);
    if (finished.failed) {
      frames_.close(tail_);
      place = tail_.size() + failure_entry;
      write_failure(tail_, finished.callable, finished.key, {reinterpret_cast<const char*>(value.data()), value.size()}, finished.age);
    } else {
      place = frames_.add(tail_, finished.callable, finished.key, value);
    }
    contents_.index.move(finished.key, {ours_, place, finished.failed});
  };
  Reading reading;
  reading.origin = [](const Origin&) {};
  reading.callable = [](std::uint32_t, const Callable&) {};
  reading.finished = add;
  Damage damage;
  read_frames(memory, 0, reading, damage);
}

}  // namespace rankview::checkpoint
