// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "isolation/fd.hpp"
#include "wire/modules.hpp"

#include <sys/types.h>
#include <cstdint>
#include <optional>
#include <vector>

namespace rankview::isolation {

// How a child ended.
struct ChildEnd {
  int status = 0;                // as waitpid() gives it
  bool known = true;             // unless somebody else has waited for it
  std::uint64_t peak_bytes = 0;  // of memory that it had at most
};

// Makes a child and says how it ends. One at a time: start() forgets the one before it, which then ends by itself or is killed.
//
// A child leads a process group of its own. When it ends, whatever is left of the group is killed.
class Forker {
 public:
  Forker() = default;
  Forker(const Forker&) = delete;
  Forker& operator=(const Forker&) = delete;
  virtual ~Forker() = default;

  // The child runs run_child() with the socket; what it writes to stderr goes to `errors`, and to stdout to `output`, unless that is -1.
  // Throws Error.
  virtual pid_t start(int socket, int errors, int output) = 0;
  // What a child does not have of the modules that this process has loaded.
  virtual const std::vector<wire::LoadedModule>& later_modules() {
    static const std::vector<wire::LoadedModule> none;
    return none;
  }
  // Whether a child begins with the memory of this process.
  [[nodiscard]] virtual bool copies_memory() const { return false; }
  // Nobody waits for the last child any more.
  virtual void finish() {}
  // Kills the group, if it is there.
  virtual void kill() = 0;
  // Readable when end() may have something.
  [[nodiscard]] virtual int events() const = 0;
  // How it ended, once; nothing while it runs. Does not wait. Throws Error if that will never be known.
  virtual std::optional<ChildEnd> end() = 0;
};

}  // namespace rankview::isolation
