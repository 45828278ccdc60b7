// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/checkpoints.hpp"

#include <rankview/errors.hpp>

#include <unistd.h>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <system_error>

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
  const std::lock_guard guard(mutex_);
  std::error_code unknown;
  const std::string path = std::filesystem::weakly_canonical(directory, unknown);
  const std::string& name = unknown ? directory : path;
  if (const auto known = open_.find(name); known != open_.end()) return known->second;
  checkpoint::Checkpoint::Settings settings;
  settings.origin = this_process();
  settings.warn = [](const std::string& what) { std::fprintf(stderr, "rankview: %s\n", what.c_str()); };
  try {
    auto opened = std::make_shared<checkpoint::Checkpoint>(disk_, directory, std::move(settings));
    return open_.emplace(name, std::move(opened)).first->second;
  } catch (const std::system_error& error) {
    throw UsageError("the checkpoint " + directory + " cannot be used: " + error.what());
  }
}

void Checkpoints::flush() {
  const std::lock_guard guard(mutex_);
  // Whatever could not be written is told when they go.
  for (const auto& [directory, checkpoint] : open_) checkpoint->flush();
}

}  // namespace rankview::controller
