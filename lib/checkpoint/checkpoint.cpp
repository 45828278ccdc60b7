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
Checkpoint::Checkpoint(Disk& disk, std::string directory, Settings settings)
    : disk_(disk), directory_(std::move(directory)), settings_(std::move(settings)), journals_(disk, directory_) {
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
    progress_.quitting = true;
  }
  changed_.notify_all();
  thread_.join();
  if (progress_.additions != progress_.durable || progress_.dropped != 0)
    settings_.warn("the checkpoint " + directory_ + " lacks " +
                   std::to_string(progress_.additions - progress_.durable + progress_.dropped) +
                   " tasks that have ended, which the next run does again" + (progress_.trouble.empty() ? "" : ": " + progress_.trouble));
  // What others may do now is on disk.
  sharing_.reset();
}

// Lets it be known that a job uses it. Who rewrites the journals is waited for.
void Checkpoint::begin_use() {
  const auto limit = settings_.clock.steady_now() + settings_.patience;
  try {
    while ((used_ = disk_.hold(journals_.path(std::string(used_name)), false)) == nullptr) {
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
    settings_.warn("the checkpoint's " + journals_.path(name) + " is of format " + std::to_string(later.format) +
                   ", and this rankview knows " + std::to_string(format_version) + "; what it says is left out");
  } catch (const std::exception& error) {
    settings_.warn("the checkpoint's " + journals_.path(name) + " cannot be read, and what it says is left out: " + error.what());
  }
}

void Checkpoint::read(const std::string& name) {
  if (journals_.full()) throw UsageError("there are too many journals");
  const auto file = disk_.open(journals_.path(name));
  // Should reading fail halfway, what was read of it is there.
  const std::uint32_t journal = journals_.add(name, true);
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
    for (const Journals::Journal& journal : journals_) known.insert(journal.name);
    const std::string mine = job_name() + "-";
    std::set<std::string_view> jobs;
    std::vector<std::string> added;
    for (const std::string& name : names) {
      if (name.starts_with(job_beginning)) jobs.insert(std::string_view(name).substr(job_beginning.size()));
      if (name.ends_with(journal_ending) && !name.starts_with(mine) && !known.contains(name)) added.push_back(name);
    }
    for (std::size_t number = 0; number < journals_.size(); ++number) {
      Journals::Journal& journal = journals_[number];
      if ((ours_.begun() && number == ours_.number()) || journal.name.starts_with(mine)) continue;
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
  Journals::Journal& journal = journals_[number];
  try {
    const auto file = disk_.open(journals_.path(journal.name));
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
    settings_.warn("the checkpoint's " + journals_.path(name) + " is damaged: " + std::to_string(damage.bytes) + " bytes, the first at " +
                   std::to_string(damage.first) + ", say nothing; what they were about is done again");
  if (damage.later != 0)
    settings_.warn("the checkpoint's " + journals_.path(name) + " has " + std::to_string(damage.later) +
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
  if (ours_.begun()) ours_.add(next, callable);
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
    journals_.forget();
  }
  into.truncate(before);
  return Found::nothing;
}

// Whether what is there of the key, if anything is, survives.
bool Checkpoint::is_on_disk(const Key& key) const {
  const std::lock_guard guard(mutex_);
  Place place;
  return !contents_.index.find(key, place) || ours_.on_disk(place);
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
  return ours_.on_disk(place) ? journals_.read(place, into) : ours_.read(place, into);
}

// ---- what is added -----------------------------------------------------------------------------------------------------------

std::uint64_t Checkpoint::add(std::uint32_t callable, const Key& key, Bytes value) {
  const std::lock_guard guard(mutex_);
  return has_room(value.size()) ? note_addition(key, ours_.add(callable, key, value)) : not_added;
}

std::uint64_t Checkpoint::add_failure(std::uint32_t callable, const Key& key, std::string_view why) {
  const std::lock_guard guard(mutex_);
  return has_room(why.size()) ? note_addition(key, ours_.add_failure(callable, key, why)) : not_added;
}

// Whether so much more can be added; there is a journal for it then. There is no room where the disk takes nothing.
bool Checkpoint::has_room(std::size_t bytes) {
  const bool full = !progress_.trouble.empty() && ours_.unwritten() + bytes > settings_.most_unwritten;
  if (!full && (ours_.begun() || begin_journal())) return true;
  ++progress_.dropped;
  return false;
}

std::uint64_t Checkpoint::note_addition(const Key& key, const Place& place) {
  contents_.index.add(key, place);
  ++progress_.additions;
  if (progress_.hurried) changed_.notify_all();
  return progress_.additions;
}

// In memory; the file is made when there is something to be written.
bool Checkpoint::begin_journal() {
  if (journals_.full()) {
    set_trouble("there are too many journals");
    return false;
  }
  const std::string name = job_name() + "-" + std::to_string(ours_.count()) + std::string(journal_ending);
  ours_.begin(journals_.add(name, false), settings_.origin, callables_);
  return true;
}

void Checkpoint::set_trouble(std::string why) {
  if (progress_.trouble.empty() != why.empty())
    settings_.warn("the checkpoint " + directory_ + (why.empty() ? " is written again" : " cannot be written, and is tried again: " + why));
  progress_.trouble = std::move(why);
  progress_.troubled.store(!progress_.trouble.empty(), std::memory_order_release);
}

void Checkpoint::hurry() {
  const std::lock_guard guard(mutex_);
  progress_.hurried = true;
  changed_.notify_all();
}

bool Checkpoint::flush(std::optional<std::chrono::milliseconds> limit) {
  std::unique_lock guard(mutex_);
  const std::uint64_t wanted = progress_.additions;
  // A round that is under way may have begun before.
  const std::uint64_t enough = progress_.rounds + 2;
  const auto over = [&] { return progress_.durable >= wanted || (progress_.rounds >= enough && !progress_.trouble.empty()); };
  ++progress_.flushes;
  changed_.notify_all();
  while (!settings_.clock.wait_for(changed_, guard, limit.value_or(std::chrono::hours(1)), over) && !limit) continue;
  --progress_.flushes;
  return progress_.durable >= wanted;
}

std::string Checkpoint::trouble() const {
  const std::lock_guard guard(mutex_);
  return progress_.trouble;
}

// ---- the thread that writes --------------------------------------------------------------------------------------------------

void Checkpoint::write_now_and_then() {
  std::unique_lock guard(mutex_);
  for (bool last = false; !last;) {
    const auto wanted = [this] {
      return progress_.quitting ||
             ((progress_.hurried || progress_.flushes != 0) && progress_.additions != progress_.durable && progress_.trouble.empty());
    };
    settings_.clock.wait_for(changed_, guard, progress_.trouble.empty() ? settings_.delay : settings_.retry, wanted);
    last = progress_.quitting;
    ours_.set_age(age());
    if (progress_.additions != progress_.durable) write(guard);
    ++progress_.rounds;
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
  ours_.begin_writing();
  const std::uint64_t number = progress_.additions;
  const std::string name = journals_[ours_.number()].name;
  File* const file = journals_[ours_.number()].file.get();
  guard.unlock();
  std::string why = write_ours(name, file);
  guard.lock();
  if (why.empty()) {
    ours_.end_writing();
    progress_.durable.store(number, std::memory_order_release);
  } else {
    write_elsewhere();
  }
  set_trouble(std::move(why));
}

// Without the lock: nobody else changes what is being written. Gives why it cannot be, or nothing.
std::string Checkpoint::write_ours(const std::string& name, File* file) {
  try {
    if (file == nullptr) {
      auto made = disk_.create(journals_.path(name));
      file = made.get();
      const std::lock_guard guard(mutex_);
      journals_[ours_.number()].file = std::move(made);
    }
    file->append(ours_.writing());
    file->sync();
    if (!ours_.any_on_disk()) disk_.sync_directory(directory_);
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

// Nobody knows what of it is on disk, so all of it goes into another journal, as the first that is in it.
void Checkpoint::write_elsewhere() {
  const detail::Buffer given_up = ours_.give_up();
  const std::uint32_t before = ours_.number();
  const bool useless = !ours_.any_on_disk();
  if (useless && journals_[before].file != nullptr) {
    // Whatever there is of it is also in the other one; that it stays does no harm.
    try {
      disk_.remove(journals_.path(journals_[before].name));
    } catch (const std::exception& error) {
      settings_.warn("the checkpoint " + directory_ + ": " + error.what());
    }
  }
  // Others' may have come behind it; then its place stays, and nothing is there.
  if (useless && before + 1 == journals_.size()) journals_.remove_last();
  begin_journal();
  ours_.add_again(given_up, [this](const Key& key, const Place& place) { contents_.index.move(key, place); });
}

}  // namespace rankview::checkpoint
