// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/checkpoints.hpp"

#include <rankview/errors.hpp>

#include <unistd.h>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <system_error>
#include <vector>

namespace rankview::controller {
namespace {

checkpoint::Origin this_process() {
  checkpoint::Origin origin;
  char host[256] = {};
  if (::gethostname(host, sizeof(host) - 1) == 0) origin.host = host;
  origin.process = static_cast<std::uint64_t>(::getpid());
  origin.began = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  std::error_code unknown;
  origin.program = std::filesystem::read_symlink("/proc/self/exe", unknown);
  return origin;
}

}  // namespace

std::shared_ptr<checkpoint::Checkpoint> Checkpoints::open(const std::string& directory) {
  std::unique_lock guard(mutex_);
  std::error_code unknown;
  if (const auto known = named_.find(directory); known != named_.end()) return known->second;
  // The client may go elsewhere, and what is to be written is still to be found.
  const std::string path = std::filesystem::weakly_canonical(std::filesystem::absolute(directory, unknown), unknown);
  const std::string& name = unknown ? directory : path;
  const auto not_being_opened = [this, &name] { return !opening_.contains(name); };
  while (!settings_.clock.wait_for(opened_, guard, std::chrono::hours(1), not_being_opened)) continue;
  if (const auto known = open_.find(name); known != open_.end()) return named_[directory] = known->second;
  opening_.insert(name);
  guard.unlock();
  std::shared_ptr<checkpoint::Checkpoint> opened;
  std::exception_ptr error;
  try {
    opened = read(name);
  } catch (const std::system_error& refused) {
    error = std::make_exception_ptr(UsageError("the checkpoint " + directory + " cannot be used: " + refused.what()));
  } catch (...) {
    error = std::current_exception();
  }
  guard.lock();
  opening_.erase(name);
  opened_.notify_all();
  if (error) std::rethrow_exception(error);
  open_.emplace(name, opened);
  return named_[directory] = std::move(opened);
}

// It takes its time, so it is done without the lock.
std::shared_ptr<checkpoint::Checkpoint> Checkpoints::read(const std::string& directory) const {
  checkpoint::Checkpoint::Settings settings;
  settings.origin = this_process();
  settings.clock = settings_.clock;
  settings.lease = settings_.lease;
  settings.attend = settings_.attend;
  settings.now = [clock = settings_.clock] { return std::chrono::nanoseconds(clock.now()); };
  settings.warn = [](const std::string& what) { std::fprintf(stderr, "rankview: %s\n", what.c_str()); };
  return std::make_shared<checkpoint::Checkpoint>(settings_.disk, directory, std::move(settings));
}

void Checkpoints::flush(std::optional<std::chrono::milliseconds> limit) {
  // Whatever could not be written is told when they go.
  for (const auto& checkpoint : all()) checkpoint->flush(limit);
}

void Checkpoints::stop_sharing() {
  for (const auto& checkpoint : all()) {
    if (checkpoint->sharing() != nullptr) checkpoint->sharing()->stop();
  }
}

void Checkpoints::leave() {
  for (const auto& checkpoint : all()) {
    if (checkpoint->sharing() != nullptr) checkpoint->sharing()->leave();
  }
}

std::vector<std::shared_ptr<checkpoint::Checkpoint>> Checkpoints::all() {
  const std::lock_guard guard(mutex_);
  std::vector<std::shared_ptr<checkpoint::Checkpoint>> all;
  for (const auto& [directory, checkpoint] : open_) all.push_back(checkpoint);
  return all;
}

void Checkpoints::tell_apart(const checkpoint::Callable& callable, const std::type_info& type, const void* function) {
  const std::lock_guard guard(mutex_);
  const auto [known, first] = callables_.try_emplace({callable.name, callable.version}, &type, function);
  const auto& [other, code] = known->second;
  if (first || (*other == type && code == function)) return;
  throw UsageError("two things are called " + callable.shown +
                   ", in unnamed namespaces or as static functions of several files, and a checkpoint would take one for the other: give "
                   "one of them another name, or Flags::version");
}

}  // namespace rankview::controller
