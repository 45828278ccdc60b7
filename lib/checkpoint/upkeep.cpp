// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "checkpoint/upkeep.hpp"

#include "checkpoint/leases.hpp"
#include "checkpoint/survey.hpp"

#include <rankview/detail/buffer.hpp>
#include <rankview/errors.hpp>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

namespace rankview::checkpoint {
namespace {

// Of a journal that is not whole yet; nobody reads such a file.
constexpr std::string_view unfinished_ending = ".unfinished";

std::string unreadable_text(const Surveyed& journal) { return journal.name + ": " + journal.unreadable; }

// Holds the directory, so that no job uses it.
class Alone {
 public:
  Alone(Disk& disk, const std::string& directory) {
    disk.check_directory(directory);
    const std::vector<std::string> names = disk.list(directory);
    const bool any = std::any_of(names.begin(), names.end(),
                                 [](const std::string& name) { return name == used_name || name.ends_with(journal_ending); });
    if (!any) throw UsageError(directory + " is no checkpoint: no journal is in it");
    hold_ = disk.hold(directory + "/" + std::string(used_name), true);
    if (hold_ == nullptr)
      throw UsageError("a job uses the checkpoint " + directory + ", or somebody else rewrites it: wait until that has ended");
    // Somebody who did this was stopped halfway, or jobs have died that had leases.
    for (const std::string& name : names) {
      if (name.ends_with(unfinished_ending) || name.starts_with(job_beginning) || name.starts_with(lease_beginning))
        disk.remove(directory + "/" + name);
    }
  }

 private:
  std::unique_ptr<Hold> hold_;
};

// A journal that is made of others: what each job has written stays its own.
class NewJournal {
 public:
  NewJournal(Disk& disk, const std::string& directory, const Origin& writer)
      : disk_(disk),
        directory_(directory),
        path_(unused_path(disk, directory, writer)),
        file_(disk.create(path_ + std::string(unfinished_ending))) {}
  NewJournal(const NewJournal&) = delete;
  NewJournal& operator=(const NewJournal&) = delete;
  ~NewJournal() {
    if (done_) return;
    file_.reset();
    try {
      disk_.remove(path_ + std::string(unfinished_ending));
    } catch (const std::system_error&) {
      // The next who does this removes it.
    }
  }

  void add(const Known& known) {
    constexpr std::size_t much = 1024 * 1024;
    if (section_ != known.section) begin_section(known);
    const std::uint32_t number = number_of(*known.callable);
    const Finished& finished = known.finished;
    const std::vector<std::byte> value = known.value();
    if (value.size() != finished.size) throw std::system_error(EIO, std::generic_category(), "reading " + known.journal.name);
    if (finished.age != frames_.age()) frames_.close(buffer_);
    frames_.set_age(finished.age);
    if (finished.failed) {
      frames_.close(buffer_);
      write_failure(buffer_, number, finished.key, {reinterpret_cast<const char*>(value.data()), value.size()}, finished.age);
    } else {
      frames_.add(buffer_, number, finished.key, value);
    }
    if (buffer_.size() > much) write_out();
  }
  // It is there from here on, whatever happens.
  void finish() {
    write_out();
    file_->sync();
    file_.reset();
    disk_.rename(path_ + std::string(unfinished_ending), path_);
    done_ = true;
    disk_.sync_directory(directory_);
  }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  static std::string unused_path(Disk& disk, const std::string& directory, const Origin& writer) {
    const std::vector<std::string> there = disk.list(directory);
    const std::string begin = writer.host + "-" + std::to_string(writer.process) + "-" + std::to_string(writer.began) + "-compact";
    for (std::size_t number = 0;; ++number) {
      const std::string name = begin + std::to_string(number) + std::string(journal_ending);
      if (std::find(there.begin(), there.end(), name) == there.end()) return directory + "/" + name;
    }
  }
  void begin_section(const Known& known) {
    frames_.close(buffer_);
    section_ = known.section;
    checkpoint::write(buffer_, known.origin);
    named_.clear();
  }
  // The same for all sections; each says it again, should one be damaged.
  std::uint32_t number_of(const Callable& callable) {
    const auto number = numbers_.try_emplace(callable, static_cast<std::uint32_t>(numbers_.size())).first->second;
    if (named_.insert(number).second) {
      frames_.close(buffer_);
      checkpoint::write(buffer_, number, callable);
    }
    return number;
  }
  void write_out() {
    frames_.close(buffer_);
    file_->append(buffer_.bytes());
    bytes_ += buffer_.size();
    buffer_.truncate(0);
  }

  Disk& disk_;
  const std::string directory_;
  const std::string path_;
  std::unique_ptr<File> file_;
  bool done_ = false;
  detail::Buffer buffer_;
  ResultFrames frames_;
  std::optional<std::size_t> section_;
  std::map<Callable, std::uint32_t> numbers_;
  std::set<std::uint32_t> named_;  // in this section
  std::uint64_t bytes_ = 0;
};

// Makes one journal of some, without what there is of a key. These go when the new one is there to stay; until then both are, which does no
// harm: what is there twice is the same.
Rewritten rewrite(Disk& disk, const std::string& directory, const std::vector<std::string>& names, const Key* without,
                  const Origin& writer) {
  Survey survey(disk, directory, names);
  Rewritten result;
  std::vector<std::string> gone;
  for (const Surveyed& journal : survey.journals()) {
    if (!journal.unreadable.empty()) {
      result.left_alone.push_back(unreadable_text(journal));
      continue;
    }
    gone.push_back(journal.name);
    result.bytes_before += journal.bytes;
    result.nameless += journal.read.nameless;
    result.damaged += journal.damage.bytes;
  }
  result.journals = gone.size();
  NewJournal made(disk, directory, writer);
  survey.each([&](const Known& known) {
    if (!known.counts || (without != nullptr && known.finished.key == *without)) return;
    made.add(known);
    ++(known.finished.failed ? result.failures : result.results);
  });
  // Of nothing there need be no journal.
  if (result.results + result.failures != 0) made.finish();
  result.bytes = made.bytes();
  for (const std::string& name : gone) disk.remove(directory + "/" + name);
  disk.sync_directory(directory);
  return result;
}

}  // namespace

Rewritten compact(Disk& disk, const std::string& directory, const Origin& writer) {
  const Alone alone(disk, directory);
  std::vector<std::string> names = disk.list(directory);
  std::erase_if(names, [](const std::string& name) { return !name.ends_with(journal_ending); });
  return rewrite(disk, directory, names, nullptr, writer);
}

Forgotten forget(Disk& disk, const std::string& directory, const std::string& prefix, const Origin& writer) {
  const auto is_digit = [](unsigned char c) { return std::isxdigit(c) != 0; };
  if (prefix.empty() || prefix.size() > 32 || !std::all_of(prefix.begin(), prefix.end(), is_digit))
    throw UsageError("a key is 32 hexadecimal digits, or the first of them: \"" + prefix + "\" is not");
  std::string wanted = prefix;
  std::transform(wanted.begin(), wanted.end(), wanted.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const Alone alone(disk, directory);
  Survey survey(disk, directory);
  constexpr std::size_t most = 5;
  std::map<Key, std::string> found;
  std::set<std::string> names;
  survey.each([&](const Known& known) {
    const Key& key = known.finished.key;
    if (!to_string(key).starts_with(wanted)) return;
    names.insert(known.journal.name);
    if (found.size() > most && !found.contains(key)) return;
    std::string& shown = found[key];
    if (known.callable != nullptr) shown = known.callable->shown;
  });
  if (found.empty()) throw UsageError("the checkpoint " + directory + " has nothing whose key begins with " + prefix);
  if (found.size() > 1) {
    std::string text = "the checkpoint " + directory + " has several keys that begin with " + prefix + ":";
    std::size_t told = 0;
    for (const auto& [key, shown] : found) {
      if (told++ == most) break;
      text += "\n  " + to_string(key) + "  " + shown;
    }
    throw UsageError(text + (found.size() > most ? "\n  and more" : ""));
  }
  Forgotten result{found.begin()->first, found.begin()->second, names.size()};
  const Rewritten done = rewrite(disk, directory, {names.begin(), names.end()}, &result.key, writer);
  if (!done.left_alone.empty())
    throw UsageError("the checkpoint " + directory + " still has " + to_string(result.key) +
                     ", in a journal that this rankview cannot rewrite: " + done.left_alone.front());
  return result;
}

}  // namespace rankview::checkpoint
