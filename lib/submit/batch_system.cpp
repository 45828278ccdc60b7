// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "submit/batch_system.hpp"

#include <rankview/errors.hpp>

namespace rankview::submit {
namespace {

constexpr std::uint64_t mebibyte = 1024ULL * 1024;

// Rounded up, since less would not do.
std::string in_mebibytes(std::uint64_t bytes) { return std::to_string((bytes + mebibyte - 1) / mebibyte); }

std::string two_digits(std::int64_t number) { return (number < 10 ? "0" : "") + std::to_string(number); }

std::string hours_minutes_seconds(std::chrono::seconds time) {
  const std::int64_t all = time.count();
  return std::to_string(all / 3600) + ":" + two_digits(all / 60 % 60) + ":" + two_digits(all % 60);
}
// Rounded up.
std::string hours_minutes(std::chrono::seconds time) {
  const std::int64_t minutes = (time.count() + 59) / 60;
  return std::to_string(minutes / 60) + ":" + two_digits(minutes % 60);
}

[[noreturn]] void needs_nodes(const char* what, BatchSystem system) {
  throw UsageError(std::string(what) + " is said to " + to_string(system) + " for whole nodes only: give --nodes and --per-node as well");
}

// What of a directive has a value.
void add_if(std::vector<Directive>& to, const char* option, const std::string& value) {
  if (!value.empty()) to.push_back({option, value});
}

std::vector<Directive> for_slurm(const Resources& wanted, const Shape& shape) {
  std::vector<Directive> to;
  const auto add = [&to](const std::string& option, const std::string& value) { to.push_back({"--" + option + "=" + value}); };
  if (!wanted.name.empty()) add("job-name", wanted.name);
  add("ntasks", std::to_string(shape.ranks));
  if (shape.nodes != 0) add("nodes", std::to_string(shape.nodes));
  if (shape.per_node != 0) add("ntasks-per-node", std::to_string(shape.per_node));
  if (shape.cores != 1) add("cpus-per-task", std::to_string(shape.cores));
  if (wanted.memory != 0) add("mem", in_mebibytes(wanted.memory) + "M");
  if (wanted.memory_per_core != 0) add("mem-per-cpu", in_mebibytes(wanted.memory_per_core) + "M");
  if (wanted.gpus != 0) add("gpus-per-node", std::to_string(wanted.gpus));
  if (wanted.time.count() != 0) add("time", hours_minutes_seconds(wanted.time));
  if (!wanted.queue.empty()) add("partition", wanted.queue);
  if (!wanted.account.empty()) add("account", wanted.account);
  if (!wanted.output.empty()) add("output", wanted.output);
  if (wanted.exclusive) to.push_back({"--exclusive"});
  if (!wanted.mail.empty()) {
    add("mail-user", wanted.mail);
    add("mail-type", "END,FAIL");
  }
  // The survivors of a dead node go on.
  to.push_back({"--no-kill"});
  return to;
}

// What PBS Pro and Torque have in common.
void add_common_of_pbs(std::vector<Directive>& to, const Resources& wanted) {
  if (wanted.time.count() != 0) to.push_back({"-l", "walltime=" + hours_minutes_seconds(wanted.time)});
  add_if(to, "-q", wanted.queue);
  add_if(to, "-A", wanted.account);
  if (!wanted.output.empty()) {
    to.push_back({"-j", "oe"});
    to.push_back({"-o", wanted.output});
  }
  if (!wanted.mail.empty()) {
    to.push_back({"-M", wanted.mail});
    to.push_back({"-m", "ae"});
  }
}

std::vector<Directive> for_pbs(const Resources& wanted, const Shape& shape) {
  std::vector<Directive> to;
  add_if(to, "-N", wanted.name);
  const bool by_nodes = shape.nodes != 0;
  if (!by_nodes && wanted.memory != 0) needs_nodes("--memory", BatchSystem::pbs);
  if (!by_nodes && wanted.gpus != 0) needs_nodes("--gpus", BatchSystem::pbs);
  const int chunks = by_nodes ? shape.nodes : shape.ranks;
  const int ranks = by_nodes ? shape.per_node : 1;
  const int cores = ranks * shape.cores;
  std::string chunk = "select=" + std::to_string(chunks) + ":ncpus=" + std::to_string(cores) + ":mpiprocs=" + std::to_string(ranks);
  if (wanted.memory != 0) chunk += ":mem=" + in_mebibytes(wanted.memory) + "mb";
  if (wanted.memory_per_core != 0) chunk += ":mem=" + in_mebibytes(wanted.memory_per_core * static_cast<std::uint64_t>(cores)) + "mb";
  if (wanted.gpus != 0) chunk += ":ngpus=" + std::to_string(wanted.gpus);
  to.push_back({"-l", chunk});
  if (by_nodes) to.push_back({"-l", wanted.exclusive ? "place=scatter:excl" : "place=scatter"});
  if (!by_nodes && wanted.exclusive) to.push_back({"-l", "place=excl"});
  add_common_of_pbs(to, wanted);
  return to;
}

std::vector<Directive> for_torque(const Resources& wanted, const Shape& shape) {
  std::vector<Directive> to;
  add_if(to, "-N", wanted.name);
  if (shape.nodes == 0) {
    if (wanted.memory != 0) needs_nodes("--memory", BatchSystem::torque);
    if (wanted.gpus != 0) needs_nodes("--gpus", BatchSystem::torque);
    to.push_back({"-l", "procs=" + std::to_string(shape.ranks * shape.cores)});
  } else {
    std::string nodes = "nodes=" + std::to_string(shape.nodes) + ":ppn=" + std::to_string(shape.per_node * shape.cores);
    if (wanted.gpus != 0) nodes += ":gpus=" + std::to_string(wanted.gpus);
    to.push_back({"-l", nodes});
  }
  // Its mem is that of the whole job, and pmem that of each process.
  if (wanted.memory != 0) to.push_back({"-l", "mem=" + in_mebibytes(wanted.memory * static_cast<std::uint64_t>(shape.nodes)) + "mb"});
  if (wanted.memory_per_core != 0)
    to.push_back({"-l", "pmem=" + in_mebibytes(wanted.memory_per_core * static_cast<std::uint64_t>(shape.cores)) + "mb"});
  if (wanted.exclusive) to.push_back({"-n"});
  add_common_of_pbs(to, wanted);
  return to;
}

std::vector<Directive> for_sge(const Resources& wanted, const Shape& shape) {
  std::vector<Directive> to;
  add_if(to, "-N", wanted.name);
  const int slots = shape.ranks * shape.cores;
  to.push_back({"-pe", wanted.parallel_environment.empty() ? "mpi" : wanted.parallel_environment, std::to_string(slots)});
  if (wanted.time.count() != 0) to.push_back({"-l", "h_rt=" + hours_minutes_seconds(wanted.time)});
  // Its memory is that of a slot.
  std::uint64_t memory = wanted.memory_per_core;
  if (wanted.memory != 0) {
    if (shape.per_node == 0) needs_nodes("--memory", BatchSystem::sge);
    memory = wanted.memory / static_cast<std::uint64_t>(shape.per_node * shape.cores);
  }
  if (memory != 0) to.push_back({"-l", "h_vmem=" + in_mebibytes(memory) + "M"});
  if (wanted.gpus != 0) to.push_back({"-l", "gpu=" + std::to_string(wanted.gpus)});
  if (wanted.exclusive) to.push_back({"-l", "exclusive=true"});
  add_if(to, "-q", wanted.queue);
  add_if(to, "-P", wanted.account);
  if (!wanted.output.empty()) {
    to.push_back({"-S", "/bin/bash"});
    to.push_back({"-j", "y"});
    to.push_back({"-o", wanted.output});
  }
  if (!wanted.mail.empty()) {
    to.push_back({"-M", wanted.mail});
    to.push_back({"-m", "ae"});
  }
  return to;
}

std::vector<Directive> for_lsf(const Resources& wanted, const Shape& shape) {
  std::vector<Directive> to;
  add_if(to, "-J", wanted.name);
  to.push_back({"-n", std::to_string(shape.ranks)});
  if (shape.per_node != 0) to.push_back({"-R", "span[ptile=" + std::to_string(shape.per_node) + "]"});
  if (shape.cores != 1) to.push_back({"-R", "affinity[core(" + std::to_string(shape.cores) + ")]"});
  // With the unit, since LSF_UNIT_FOR_LIMITS may be any. It is reserved on each host.
  std::uint64_t memory = wanted.memory;
  if (wanted.memory_per_core != 0) {
    if (shape.per_node == 0) needs_nodes("--memory-per-core", BatchSystem::lsf);
    memory = wanted.memory_per_core * static_cast<std::uint64_t>(shape.per_node * shape.cores);
  }
  if (memory != 0) to.push_back({"-R", "rusage[mem=" + in_mebibytes(memory) + "MB]"});
  if (wanted.gpus != 0) to.push_back({"-gpu", "num=" + std::to_string(wanted.gpus)});
  // In hours and minutes.
  if (wanted.time.count() != 0) to.push_back({"-W", hours_minutes(wanted.time)});
  add_if(to, "-q", wanted.queue);
  add_if(to, "-P", wanted.account);
  add_if(to, "-o", wanted.output);
  if (wanted.exclusive) to.push_back({"-x"});
  if (!wanted.mail.empty()) {
    to.push_back({"-u", wanted.mail});
    to.push_back({"-N"});
  }
  return to;
}

}  // namespace

const char* to_string(BatchSystem system) {
  for (const auto& [name, which] : batch_systems) {
    if (which == system) return name;
  }
  return "?";
}

std::optional<BatchSystem> find_batch_system(const std::function<bool(const std::string&)>& has) {
  if (has("sbatch")) return BatchSystem::slurm;
  if (has("bsub")) return BatchSystem::lsf;
  if (!has("qsub")) return std::nullopt;
  // Three have that command; what else they have tells them apart.
  if (has("qconf")) return BatchSystem::sge;
  return has("pbs_track") || has("momctl") ? BatchSystem::torque : BatchSystem::pbs;
}

std::vector<Directive> directives(BatchSystem system, const Resources& wanted) {
  if (wanted.memory != 0 && wanted.memory_per_core != 0)
    throw UsageError("--memory is that of a node, --memory-per-core of a core: one of them");
  const Shape shape = shape_of(wanted);
  switch (system) {
    case BatchSystem::slurm:
      return for_slurm(wanted, shape);
    case BatchSystem::pbs:
      return for_pbs(wanted, shape);
    case BatchSystem::torque:
      return for_torque(wanted, shape);
    case BatchSystem::sge:
      return for_sge(wanted, shape);
    default:
      return for_lsf(wanted, shape);
  }
}

const char* directive_mark(BatchSystem system) {
  switch (system) {
    case BatchSystem::slurm:
      return "#SBATCH";
    case BatchSystem::sge:
      return "#$";
    case BatchSystem::lsf:
      return "#BSUB";
    default:
      return "#PBS";
  }
}

std::vector<std::string> interactive_command(BatchSystem system, const std::vector<Directive>& wanted, const std::string& shell) {
  std::vector<std::string> command;
  switch (system) {
    case BatchSystem::slurm:
      command = {"salloc"};
      break;
    case BatchSystem::sge:
      command = {"qrsh", "-now", "no", "-cwd"};
      break;
    case BatchSystem::lsf:
      command = {"bsub", "-Is"};
      break;
    default:
      command = {"qsub", "-I"};
      break;
  }
  for (const Directive& directive : wanted) command.insert(command.end(), directive.begin(), directive.end());
  // Elsewhere a shell is what they give anyhow.
  if (system == BatchSystem::lsf) command.push_back(shell);
  return command;
}

}  // namespace rankview::submit
