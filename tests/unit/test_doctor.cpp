// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "doctor/checks.hpp"
#include "support.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

using namespace rankview::doctor;

namespace {

// A host on which all is well, until something of it is changed.
class FakeHost final : public Host {
 public:
  std::map<std::string, std::string> files{{"/proc/meminfo", "MemTotal: 8388608 kB\nSwapTotal: 0 kB\n"}};
  std::map<std::string, std::vector<std::string>> directories{{"/sys/class/net", {"eth0", "lo"}}};
  std::map<std::string, Space> spaces{{"/dev/shm", {std::uint64_t{4} << 30U, std::uint64_t{4} << 30U, "tmpfs"}},
                                      {"/tmp", {std::uint64_t{4} << 30U, std::uint64_t{4} << 30U, ""}}};
  std::map<std::string, std::string> variables;
  std::map<std::string, std::string> programs{{"mpirun", "mpirun (Open MPI) 4.1.4\n"}, {"c++", "c++ 12.2.0\n"}, {"ssh", ""}};
  std::map<Limit, std::uint64_t> limits{
      {Limit::descriptors, 65536}, {Limit::locked_memory, unlimited}, {Limit::processes, 1000}, {Limit::core_files, unlimited}};
  std::vector<std::string> read_only;
  std::string mpi = "Open MPI v4.1.4";
  unsigned allowed = 8;
  bool is_root = false;
  bool reads = true;

  [[nodiscard]] std::string name() const override { return "node1"; }
  [[nodiscard]] std::optional<std::string> file(const std::string& path) const override { return find(files, path); }
  [[nodiscard]] std::vector<std::string> directory(const std::string& path) const override {
    return find(directories, path).value_or(std::vector<std::string>());
  }
  [[nodiscard]] std::optional<Space> space(const std::string& path) const override { return find(spaces, path); }
  [[nodiscard]] bool writable(const std::string& path) const override {
    return std::find(read_only.begin(), read_only.end(), path) == read_only.end();
  }
  [[nodiscard]] std::optional<std::string> variable(const std::string& name) const override { return find(variables, name); }
  [[nodiscard]] std::string program(const std::string& name) const override { return programs.contains(name) ? name : ""; }
  [[nodiscard]] std::string output(const std::vector<std::string>& command) const override {
    return find(programs, command.front()).value_or("");
  }
  [[nodiscard]] std::uint64_t limit(Limit limit) const override { return limits.at(limit); }
  [[nodiscard]] unsigned cores() const override { return 8; }
  [[nodiscard]] unsigned own_cores() const override { return allowed; }
  [[nodiscard]] bool root() const override { return is_root; }
  [[nodiscard]] bool reads_others() const override { return reads; }
  [[nodiscard]] std::string mpi_version() const override { return mpi; }
  [[nodiscard]] bool mpi_survives() const override { return true; }

 private:
  template <class Map>
  static std::optional<typename Map::mapped_type> find(const Map& map, const std::string& name) {
    const auto found = map.find(name);
    return found == map.end() ? std::nullopt : std::optional(found->second);
  }
};

// What is not fine, in words.
std::string complaints(const Host& host) {
  std::string text;
  for (const Finding& finding : examine(host)) {
    if (finding.level <= Level::note) continue;
    CHECK_FALSE(finding.advice.empty());
    text += (finding.level == Level::problem ? "problem: " : "warning: ") + finding.topic + ": " + finding.what + "\n";
  }
  return text;
}

bool begins(const std::string& text, const std::string& beginning) { return text.rfind(beginning, 0) == 0; }

}  // namespace

TEST_CASE("a host on which all is well", "[doctor]") {
  const FakeHost host;
  CHECK(complaints(host).empty());
  CHECK(examine(host).size() > 10);
}

TEST_CASE("each thing that is not well is told once, with what to do", "[doctor]") {
  FakeHost host;
  std::string expected;
  SECTION("no mpirun") {
    host.programs.erase("mpirun");
    expected = "problem: mpirun: there is none in $PATH";
  }
  SECTION("that of another MPI") {
    host.programs["mpirun"] = "mpirun (Open MPI) 5.0.3\n";
    expected = "problem: mpirun: mpirun is mpirun (Open MPI) 5.0.3, and not of the MPI";
  }
  SECTION("a container's shared memory") {
    host.spaces["/dev/shm"].size = std::uint64_t{64} << 20U;
    expected = "warning: shared memory: /dev/shm has 64 MiB";
  }
  SECTION("no shared memory") {
    host.read_only = {"/dev/shm"};
    expected = "problem: shared memory: /dev/shm cannot be used";
  }
  SECTION("no looking into other processes") {
    host.reads = false;
    expected = "warning: shared memory: a process may not read the memory of another";
  }
  SECTION("a quota of cores") {
    host.files["/sys/fs/cgroup/cpu.max"] = "250000 100000\n";
    expected = "warning: cores: the container may use 2.5 of them";
  }
  SECTION("a slow clock") {
    host.files["/sys/devices/system/clocksource/clocksource0/current_clocksource"] = "hpet\n";
    expected = "warning: clock: time comes from hpet";
  }
  SECTION("few descriptors") {
    host.limits[Host::Limit::descriptors] = 1024;
    expected = "warning: limits: 1024 open files";
  }
  SECTION("InfiniBand without locked memory") {
    host.directories["/sys/class/infiniband"] = {"mlx5_0"};
    host.limits[Host::Limit::locked_memory] = 65536;
    expected = "problem: limits: there is InfiniBand, and locked memory is limited to 64 kB";
  }
  SECTION("temporary files on a network") {
    host.spaces["/tmp"].kind = "nfs";
    expected = "warning: files: /tmp (TMPDIR) is on nfs";
  }
  SECTION("no room for them") {
    host.variables["TMPDIR"] = "/scratch";
    host.spaces["/scratch"] = {std::uint64_t{4} << 30U, std::uint64_t{5} << 20U, ""};
    expected = "warning: files: /scratch has 5 MiB free";
  }
  SECTION("bridges of containers") {
    host.directories["/sys/class/net"].emplace_back("docker0");
    expected = "warning: network: docker0 lead nowhere";
  }
  SECTION("a compiler that is none") {
    host.variables["RANKVIEW_CXX"] = "icpx";
    expected = "problem: compiler: RANKVIEW_CXX is icpx, which is no program";
  }
  SECTION("another MPI") {
    host.mpi = "MPICH Version: 4.1";
    host.programs["mpirun"] = "HYDRA build details: 4.1";
    expected = "warning: mpi: rankview is tested with Open MPI";
  }
  const std::string text = complaints(host);
  INFO(text);
  CHECK(begins(text, expected));
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
}

TEST_CASE("what is good to know is no complaint", "[doctor]") {
  FakeHost host;
  host.is_root = true;
  host.limits[Host::Limit::core_files] = 0;
  host.files["/sys/fs/cgroup/memory.max"] = "1073741824\n";
  host.variables["SLURM_JOB_ID"] = "17";
  host.programs["sbatch"] = host.programs["squeue"] = "";
  CHECK(complaints(host).empty());
  bool allocated = false;
  for (const Finding& finding : examine(host))
    allocated = allocated || finding.what.find("within an allocation of Slurm") != std::string::npos;
  CHECK(allocated);
}
