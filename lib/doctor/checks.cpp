// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "doctor/checks.hpp"

#include "launch/allocations.hpp"
#include "submit/batch_system.hpp"

#include <algorithm>
#include <cstdint>
#include <sstream>
#include <string>
#include <utility>

namespace rankview::doctor {
namespace {

constexpr std::uint64_t mebibyte = 1024 * 1024;

std::string in_gigabytes(std::uint64_t bytes) {
  std::ostringstream text;
  text.precision(3);
  text << static_cast<double>(bytes) / (1024.0 * mebibyte) << " GiB";
  return text.str();
}

// The first line, without what ends it.
std::string line_of(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string count_of(std::uint64_t limit) { return limit == Host::unlimited ? "unlimited" : std::to_string(limit); }

void check_mpi(const Host& host, Findings& findings) {
  const std::string version = host.mpi_version();
  findings.push_back({Level::fine, "mpi", "linked with " + version});
  if (version.find("Open MPI") == std::string::npos)
    findings.push_back(
        {Level::warning, "mpi", "rankview is tested with Open MPI", "what starts programs, and survives deaths, may differ"});
  const std::string mpirun = host.program("mpirun");
  if (mpirun.empty()) {
    findings.push_back(
        {Level::problem, "mpirun", "there is none in $PATH", "install it (Debian: openmpi-bin), or load your site's MPI module"});
    return;
  }
  const std::string said = line_of(host.output({mpirun, "--version"}));
  // "mpirun (Open MPI) 4.1.4" and "Open MPI v4.1.4".
  const std::string number = said.substr(said.rfind(' ') + 1);
  if (!number.empty() && version.find(number) == std::string::npos) {
    findings.push_back({Level::problem, "mpirun", mpirun + " is " + said + ", and not of the MPI that rankview is linked with",
                        "put the mpirun of that MPI first in $PATH: with another one each rank takes itself for the only one"});
  } else {
    findings.push_back({Level::fine, "mpirun", mpirun + ", " + said});
  }
  if (host.root())
    findings.push_back({Level::note, "mpirun", "refuses to run as root",
                        "rankview run tells it that this is meant; mpirun itself wants --allow-run-as-root"});
  const bool ulfm = host.mpi_survives();
  findings.push_back({Level::note, "mpi", ulfm ? "it was built with fault tolerance (ULFM)" : "it was built without fault tolerance (ULFM)",
                      ulfm ? "" : "engines may die all the same, if the program is started by rankview run"});
}

// What processes of one host move data by.
void check_shared_memory(const Host& host, Findings& findings) {
  const auto space = host.space("/dev/shm");
  constexpr std::uint64_t little = 64 * mebibyte;
  if (!space || !host.writable("/dev/shm")) {
    findings.push_back({Level::problem, "shared memory", "/dev/shm cannot be used",
                        "mount a tmpfs there, or tell Open MPI of a local directory: OMPI_MCA_btl_vader_backing_directory"});
  } else if (space->size <= little) {
    findings.push_back({Level::warning, "shared memory",
                        "/dev/shm has " + std::to_string(space->size / mebibyte) + " MiB, which is enough for some ten ranks",
                        "in a container, start it with --shm-size=1g or --ipc=host"});
  } else {
    findings.push_back({Level::fine, "shared memory", "/dev/shm has " + in_gigabytes(space->free) + " free"});
  }
  if (!host.reads_others())
    findings.push_back(
        {Level::warning, "shared memory",
         "a process may not read the memory of another, so data is copied twice between ranks of this host, and MPI may print errors",
         "allow it (in a container --cap-add=SYS_PTRACE), or set OMPI_MCA_btl_vader_single_copy_mechanism=none"});
}

// What control groups leave of the cores: quota and period in microseconds.
double quota_of(const Host& host) {
  std::istringstream numbers(host.file("/sys/fs/cgroup/cpu.max").value_or(""));
  double quota = 0;
  double period = 0;
  return numbers >> quota >> period && period > 0 ? quota / period : 0;
}

void check_cores(const Host& host, Findings& findings) {
  const unsigned all = host.cores();
  const unsigned own = host.own_cores();
  findings.push_back({Level::fine, "cores", std::to_string(own) + (own == all ? "" : " of " + std::to_string(all))});
  if (const double quota = quota_of(host); quota > 0 && quota < own) {
    std::ostringstream text;
    text << "the container may use " << quota << " of them at a time";
    findings.push_back({Level::warning, "cores", text.str(), "start as many engines, by rankview run -n, or raise the limit (--cpus)"});
  }
  const std::string clock = line_of(host.file("/sys/devices/system/clocksource/clocksource0/current_clocksource").value_or(""));
  if (!clock.empty() && clock != "tsc" && clock != "kvm-clock" && clock != "arch_sys_counter")
    findings.push_back({Level::warning, "clock",
                        "time comes from " + clock + ", which takes a system call of a microsecond or so each time",
                        "tiny tasks take as much longer; boot with clocksource=tsc if the machine allows it"});
}

void check_memory(const Host& host, Findings& findings) {
  std::istringstream lines(host.file("/proc/meminfo").value_or(""));
  std::uint64_t total = 0;
  std::uint64_t swap = 0;
  for (std::string name, rest; lines >> name && std::getline(lines, rest);) {
    if (name == "MemTotal:") total = std::stoull(rest) * 1024;
    if (name == "SwapTotal:") swap = std::stoull(rest) * 1024;
  }
  findings.push_back({Level::fine, "memory", in_gigabytes(total) + (swap != 0 ? ", and " + in_gigabytes(swap) + " of swap" : "")});
  const std::string limit = line_of(host.file("/sys/fs/cgroup/memory.max").value_or("max"));
  if (!limit.empty() && limit != "max" && std::stoull(limit) < total)
    findings.push_back({Level::note, "memory", "the control group may have " + in_gigabytes(std::stoull(limit)),
                        "a process that takes more is killed, and dies as of signal 9"});
}

void check_limits(const Host& host, Findings& findings) {
  using Limit = Host::Limit;
  const std::uint64_t descriptors = host.limit(Limit::descriptors);
  if (descriptors < 4096) {
    findings.push_back(
        {Level::warning, "limits", std::to_string(descriptors) + " open files (ulimit -n)",
         "a side connection for each engine on rank 0, and five for each slot of a farm: ulimit -n 65536, or ask for it in limits.conf"});
  } else {
    findings.push_back(
        {Level::fine, "limits", count_of(descriptors) + " open files, " + count_of(host.limit(Limit::processes)) + " processes"});
  }
  if (!host.directory("/sys/class/infiniband").empty() && host.limit(Limit::locked_memory) != Host::unlimited)
    findings.push_back({Level::problem, "limits",
                        "there is InfiniBand, and locked memory is limited to " + std::to_string(host.limit(Limit::locked_memory) / 1024) +
                            " kB (ulimit -l)",
                        "it has to be unlimited, in limits.conf and in the daemon of the batch system, or messages go by TCP"});
  if (host.limit(Limit::core_files) == 0)
    findings.push_back(
        {Level::note, "limits", "crashes leave no core files (ulimit -c)", "rankview tells the stack of a crash all the same"});
}

void check_directories(const Host& host, Findings& findings) {
  const std::string temporary = host.variable("TMPDIR").value_or("/tmp");
  const auto space = host.space(temporary);
  if (!space || !host.writable(temporary)) {
    findings.push_back(
        {Level::problem, "files", temporary + " (TMPDIR) cannot be written to", "Open MPI and farms want a local directory there"});
    return;
  }
  if (space->kind == "nfs" || space->kind == "lustre" || space->kind == "gpfs" || space->kind == "beegfs") {
    findings.push_back({Level::warning, "files", temporary + " (TMPDIR) is on " + space->kind,
                        "what Open MPI has there is slow then: set TMPDIR to a local directory"});
  } else if (space->free < 100 * mebibyte) {
    findings.push_back(
        {Level::warning, "files", temporary + " has " + std::to_string(space->free / mebibyte) + " MiB free", "make room, or set TMPDIR"});
  } else {
    findings.push_back({Level::fine, "files", temporary + " has " + in_gigabytes(space->free) + " free"});
  }
}

// Those that look as if they led to other hosts, and do not.
void check_network(const Host& host, Findings& findings) {
  std::string misleading;
  std::string others;
  for (const std::string& name : host.directory("/sys/class/net")) {
    if (name == "lo") continue;
    const bool is_local =
        name.rfind("docker", 0) == 0 || name.rfind("virbr", 0) == 0 || name.rfind("br-", 0) == 0 || name.rfind("veth", 0) == 0;
    std::string& list = is_local ? misleading : others;
    list += (list.empty() ? "" : ",") + name;
  }
  findings.push_back({Level::fine, "network", others.empty() ? "none but this host" : others});
  if (!misleading.empty() && !host.variable("OMPI_MCA_btl_tcp_if_exclude") && !host.variable("OMPI_MCA_btl_tcp_if_include"))
    findings.push_back({Level::warning, "network", misleading + " lead nowhere, and Open MPI may try them between hosts",
                        "with several hosts: export OMPI_MCA_btl_tcp_if_include and OMPI_MCA_oob_tcp_if_include, as in 10.1.0.0/16"});
  if (host.program("ssh").empty())
    findings.push_back({Level::note, "network", "there is no ssh", "without a batch system mpirun reaches other hosts by it"});
}

void check_compiler(const Host& host, Findings& findings) {
  const auto wanted = host.variable("RANKVIEW_CXX");
  std::string compiler;
  for (const char* const name : {"c++", "g++", "clang++"}) {
    if (compiler.empty()) compiler = host.program(name);
  }
  if (wanted) compiler = host.program(*wanted);
  if (compiler.empty()) {
    findings.push_back({wanted ? Level::problem : Level::note, "compiler",
                        wanted ? "RANKVIEW_CXX is " + *wanted + ", which is no program" : "there is none in $PATH",
                        "C++ that is typed at a running cluster needs one on rank 0's host: RANKVIEW_CXX says which"});
  } else {
    findings.push_back({Level::fine, "compiler", compiler + ", " + line_of(host.output({compiler, "--version"}))});
  }
}

void check_batch_system(const Host& host, Findings& findings) {
  const auto system = submit::find_batch_system([&host](const std::string& command) { return !host.program(command).empty(); });
  findings.push_back(
      {Level::fine, "batch system", system ? std::string(submit::to_string(*system)) + "; rankview submit uses it" : "none here"});
  for (const auto& [name, of] : launch::allocations) {
    if (const auto job = host.variable(name))
      findings.push_back(
          {Level::fine, "batch system", std::string("this is within an allocation of ") + of + ", whose hosts rankview run takes"});
  }
}

}  // namespace

Findings examine(const Host& host) {
  Findings findings;
  findings.push_back({Level::fine, "host", host.name()});
  check_mpi(host, findings);
  check_shared_memory(host, findings);
  check_cores(host, findings);
  check_memory(host, findings);
  check_limits(host, findings);
  check_directories(host, findings);
  check_network(host, findings);
  check_compiler(host, findings);
  check_batch_system(host, findings);
  return findings;
}

}  // namespace rankview::doctor
