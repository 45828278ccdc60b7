// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "disk.hpp"

#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

namespace sim {
namespace {

Kept* of_this_history = nullptr;

}  // namespace

Kept& kept() { return *of_this_history; }
void set_kept(Kept* of_history) { of_this_history = of_history; }

class SimDisk::Open final : public rankview::checkpoint::File {
 public:
  Open(SimDisk& disk, std::unique_ptr<File> file) : disk_(disk), file_(std::move(file)) {}

  std::uint64_t size() override { return file_->size(); }
  std::size_t read(std::uint64_t offset, std::span<std::byte> into) override { return file_->read(offset, into); }
  void append(std::span<const std::byte> bytes) override {
    // Some of it may be there before all is.
    const std::size_t first = bytes.empty() ? 0 : static_cast<std::size_t>(world().draw(bytes.size()));
    file_->append(bytes.first(first));
    disk_.pass_time();
    file_->append(bytes.subspan(first));
  }
  void sync() override {
    disk_.pass_time();
    file_->sync();
  }

 private:
  SimDisk& disk_;
  std::unique_ptr<File> file_;
};

SimDisk::SimDisk() {
  files_.clock = [] { return std::chrono::nanoseconds(world().now()); };
}

bool SimDisk::link(const std::string& from, const std::string& to) {
  pass_time();
  return files_.link(from, to);
}

std::chrono::nanoseconds SimDisk::touch(const std::string& path) {
  pass_time();
  return files_.touch(path);
}

void SimDisk::pass_time() {
  world().sleep(std::chrono::nanoseconds(world().draw(world().chance(10) ? 3'000'000 : 100'000)));
  if (faulty_ && world().chance(10)) throw std::system_error(EIO, std::generic_category(), "the world has drawn it");
}

std::unique_ptr<rankview::checkpoint::File> SimDisk::create(const std::string& path) {
  pass_time();
  return std::make_unique<Open>(*this, files_.create(path));
}

void SimDisk::sync_directory(const std::string& path) {
  pass_time();
  files_.sync_directory(path);
}

std::unique_ptr<SimDisk> SimDisk::cut() const {
  auto left = std::make_unique<SimDisk>();
  for (const auto& [path, file] : files_.files) {
    if (!files_.named(path) && world().chance(50)) continue;
    auto& there = *left->files_.files.try_emplace(path, std::make_shared<test::MemoryDisk::Kept>()).first->second;
    // A file that lost its name was never promised; one that has it has what was synced.
    const std::size_t unsynced = file->bytes.size() - file->synced;
    const std::size_t size = file->synced + static_cast<std::size_t>(world().draw(unsynced + 1));
    there.bytes.assign(file->bytes.begin(), file->bytes.begin() + static_cast<std::ptrdiff_t>(size));
    for (std::size_t at = file->synced; at < size; ++at) {
      if (world().chance(2)) there.bytes[at] = static_cast<std::byte>(world().draw(256));
    }
    there.synced = size;
  }
  left->files_.sync_directory(Kept::directory);
  return left;
}

}  // namespace sim
