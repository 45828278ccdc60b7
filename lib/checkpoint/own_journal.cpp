// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "checkpoint/own_journal.hpp"

#include "checkpoint/disk.hpp"

#include <algorithm>
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

void OwnJournal::begin(std::uint32_t number, const Origin& origin, const std::vector<Callable>& callables) {
  number_ = number;
  ++count_;
  written_ = 0;
  checkpoint::write(tail_, origin);
  for (std::uint32_t callable = 0; callable < callables.size(); ++callable) checkpoint::write(tail_, callable, callables[callable]);
}

void OwnJournal::add(std::uint32_t number, const Callable& callable) {
  frames_.close(tail_);
  checkpoint::write(tail_, number, callable);
}

Place OwnJournal::add(std::uint32_t callable, const Key& key, Bytes value) {
  const std::size_t entry = frames_.add(tail_, callable, key, value);
  return {number_, written_ + writing_.size() + entry, false};
}

Place OwnJournal::add_failure(std::uint32_t callable, const Key& key, std::string_view why) {
  frames_.close(tail_);
  const std::size_t entry = tail_.size() + failure_entry;
  write_failure(tail_, callable, key, why, frames_.age());
  return {number_, written_ + writing_.size() + entry, true};
}

std::size_t OwnJournal::read(const Place& place, std::span<std::byte> into) const {
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

void OwnJournal::begin_writing() {
  frames_.close(tail_);
  writing_ = std::exchange(tail_, {});
}

void OwnJournal::end_writing() {
  written_ += writing_.size();
  writing_ = {};
}

detail::Buffer OwnJournal::give_up() {
  frames_.close(tail_);
  detail::Buffer all = std::exchange(writing_, {});
  all.append(tail_.data(), tail_.size());
  tail_ = {};
  return all;
}

void OwnJournal::add_again(const detail::Buffer& given_up, const std::function<void(const Key&, const Place&)>& moved) {
  MemoryFile memory(given_up.bytes());
  Reading reading;
  reading.origin = [](const Origin&) {};
  reading.callable = [](std::uint32_t, const Callable&) {};
  reading.finished = [&](const Finished& finished) {
    const auto at = given_up.bytes().subspan(static_cast<std::size_t>(finished.entry));
    const Entry head = read_entry(at.first<entry_head>());
    const Bytes value = at.subspan(entry_head, static_cast<std::size_t>(head.size));
    frames_.set_age(finished.age);
    moved(finished.key, finished.failed
                            ? add_failure(finished.callable, finished.key, {reinterpret_cast<const char*>(value.data()), value.size()})
                            : add(finished.callable, finished.key, value));
  };
  Damage damage;
  read_frames(memory, 0, reading, damage);
}

}  // namespace rankview::checkpoint
