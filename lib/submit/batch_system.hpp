// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "submit/resources.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rankview::submit {

enum class BatchSystem : std::uint8_t { slurm, pbs, torque, sge, lsf };

inline constexpr std::array<std::pair<const char*, BatchSystem>, 5> batch_systems{{{"slurm", BatchSystem::slurm},
                                                                                   {"pbs", BatchSystem::pbs},
                                                                                   {"torque", BatchSystem::torque},
                                                                                   {"sge", BatchSystem::sge},
                                                                                   {"lsf", BatchSystem::lsf}}};
[[nodiscard]] const char* to_string(BatchSystem system);

// Which is here, as its commands tell; none if there is none. `has`: whether there is such a command.
std::optional<BatchSystem> find_batch_system(const std::function<bool(const std::string&)>& has);

// Words that belong together, such as -l and walltime=1:00:00.
using Directive = std::vector<std::string>;
// How the system is told what is wanted: what stands behind #SBATCH, #PBS, #$ or #BSUB, and behind the command that submits. Throws
// UsageError for what cannot be said to it. Without an output, what only a script may ask for is left out.
std::vector<Directive> directives(BatchSystem system, const Resources& wanted);

// What a line begins with that is for the system.
[[nodiscard]] const char* directive_mark(BatchSystem system);
// The command that gives an allocation with a shell in it.
std::vector<std::string> interactive_command(BatchSystem system, const std::vector<Directive>& wanted, const std::string& shell);

}  // namespace rankview::submit
