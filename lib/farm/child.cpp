// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/child.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <span>
#include <system_error>

extern char** environ;

namespace rankview::farm {
namespace {

constexpr std::array<std::string_view, 6> of_mpi{"OMPI_", "PMIX_", "PMI_", "ORTE_", "OPAL_", "PRTE_"};
// What users set themselves for all of Open MPI's programs is theirs; but for these, which mpirun sets for its own.
constexpr std::array<std::string_view, 2> of_users{"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_MCA_"};
constexpr std::array<std::string_view, 6> of_mpirun{"OMPI_MCA_ess",  "OMPI_MCA_initial_wdir", "OMPI_MCA_mpi_oversubscribe",
                                                    "OMPI_MCA_orte", "OMPI_MCA_pmix",         "OMPI_MCA_shmem_RUNTIME"};

bool begins_with_one(std::string_view entry, std::span<const std::string_view> beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(),
                     [entry](std::string_view beginning) { return entry.substr(0, beginning.size()) == beginning; });
}

bool is_of_mpi(std::string_view entry) {
  return begins_with_one(entry, of_mpirun) || (begins_with_one(entry, of_mpi) && !begins_with_one(entry, of_users));
}

// What posix_spawn is told, the same for all children but for their streams.
class SpawnTerms {
 public:
  explicit SpawnTerms(Streams streams) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    // Onto itself is right as well: then it is not closed.
    ::posix_spawn_file_actions_adddup2(&actions_, streams.out, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, streams.err, STDERR_FILENO);
    ::posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);
    ::posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigemptyset(&none);
    sigset_t all;
    sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  SpawnTerms(const SpawnTerms&) = delete;
  SpawnTerms& operator=(const SpawnTerms&) = delete;
  ~SpawnTerms() {
    ::posix_spawnattr_destroy(&attributes_);
    ::posix_spawn_file_actions_destroy(&actions_);
  }

  [[nodiscard]] const posix_spawn_file_actions_t* actions() const { return &actions_; }
  [[nodiscard]] const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

}  // namespace

ChildEnvironment::ChildEnvironment() {
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!is_of_mpi(*entry)) entries_.emplace_back(*entry);
  }
}

std::vector<std::string>::iterator ChildEnvironment::find(std::string_view name) {
  return std::find_if(entries_.begin(), entries_.end(), [name](const std::string& entry) {
    return entry.size() > name.size() && entry[name.size()] == '=' && entry.compare(0, name.size(), name) == 0;
  });
}

void ChildEnvironment::restore(std::string_view name) {
  if (const char* const before = std::getenv(std::string(name).c_str())) {
    set(name, before);
  } else if (const auto there = find(name); there != entries_.end()) {
    entries_.erase(there);
  }
}

void ChildEnvironment::set(std::string_view name, std::string_view value) {
  std::string text(name);
  text += '=';
  text += value;
  const auto there = find(name);
  if (there == entries_.end()) {
    entries_.push_back(std::move(text));
  } else {
    *there = std::move(text);
  }
}

char* const* ChildEnvironment::pointers() {
  pointers_.clear();
  for (std::string& entry : entries_) pointers_.push_back(entry.data());
  pointers_.push_back(nullptr);
  return pointers_.data();
}

Child::Child(const Invocation& invocation, char* const* environment, Streams streams) {
  std::vector<char*> words;
  words.reserve(invocation.words.size() + 1);
  for (const std::string& word : invocation.words) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const SpawnTerms terms(streams);
  const int error = ::posix_spawn(&process_, invocation.program.c_str(), terms.actions(), terms.attributes(), words.data(), environment);
  if (error != 0) throw std::system_error(error, std::generic_category(), invocation.program);
  events_ = isolation::Fd(static_cast<int>(::syscall(SYS_pidfd_open, process_, 0)));
  if (!events_) {
    const int why = errno;
    send(SIGKILL);
    reap(true);
    throw std::system_error(why, std::generic_category(), "pidfd_open");
  }
}

Child::~Child() {
  if (reaped_) return;
  send(SIGKILL);
  reap(true);
}

void Child::send(int signal) const { ::kill(-process_, signal); }

int Child::reap(bool whole_group) {
  // As long as nobody has waited for it, its number is no other's.
  if (whole_group) {
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(process_), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) continue;
    send(SIGKILL);
  }
  int status = 0;
  while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) continue;
  reaped_ = true;
  return status;
}

}  // namespace rankview::farm
