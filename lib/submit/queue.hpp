// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "submit/batch_system.hpp"
#include "submit/commands.hpp"

#include <optional>
#include <string>
#include <vector>

namespace rankview::submit {

// What a batch system says of a job.
enum class QueueState : std::uint8_t {
  unknown,  // it does not say: it does not answer, or has forgotten the job, or it was never there
  waiting,
  running,
};

// The queue of a batch system, by its commands. One that does not answer is asked again a few times.
class Queue {
 public:
  Queue(BatchSystem system, Commands& commands) : system_(system), commands_(commands) {}

  // Hands in the script; gives the job's id. Throws Error with what the system says.
  std::string submit(const std::string& script, const std::string& path);
  QueueState state(const std::string& id);
  // Throws Error with what the system says.
  void cancel(const std::string& id);

 private:
  Outcome run_again_and_again(const std::vector<std::string>& words, const std::string& input);
  [[nodiscard]] std::optional<std::string> id_in(const std::string& text) const;

  BatchSystem system_;
  Commands& commands_;
};

}  // namespace rankview::submit
