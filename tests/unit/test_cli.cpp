// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cli/launch.hpp"
#include "cli/mpirun.hpp"
#include "environment.hpp"
#include "support.hpp"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

using namespace rankview::cli;
using unit::Environment;

namespace {

Wanted program(std::optional<int> engines) { return {engines, {}, {"./app", "input.dat"}}; }

std::string words_of(const Command& command) {
  std::string text;
  for (const std::string& word : command.words) text += (text.empty() ? "" : " ") + word;
  return text;
}

bool has(const Command& command, const std::string& name, const std::string& value) {
  for (const auto& [there, what] : command.environment) {
    if (there == name) return what == value;
  }
  return false;
}

// Starting something blocks signals for good, as suits a command; not so tests.
class Signals {
 public:
  Signals() { sigprocmask(SIG_SETMASK, nullptr, &before_); }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals() { sigprocmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

// How a shell ends that runs this, with the exit file as its $FILE.
int run(const std::string& script, const ExitFile& exit_file) {
  const Signals as_before;
  const Environment file("FILE", exit_file.path().c_str());
  return run_to_its_end({{"sh", "-c", script}, {}}, exit_file);
}

}  // namespace

TEST_CASE("dashes before a program are the command's, and others the program's", "[cli]") {
  using Words = std::vector<std::string>;
  CHECK(program_of({"./app", "x"}, {}) == Words{"./app", "x"});
  CHECK(program_of({}, {"--", "./app", "--", "x"}) == Words{"./app", "--", "x"});
  CHECK(program_of({"rankview", "farm", "-j1"}, {"--", "echo"}) == Words{"rankview", "farm", "-j1", "--", "echo"});
  CHECK(program_of({"./app"}, {"--"}) == Words{"./app", "--"});
  CHECK(program_of({}, {"--"}).empty());
}

TEST_CASE("as many ranks as engines, and rank 0", "[cli]") {
  const Surroundings here{8, false, ""};
  CHECK(words_of(mpirun_command(program(4), here, "")) == "mpirun --enable-recovery -np 5 ./app input.dat");
  // One for each core, which is one rank too many for them.
  CHECK(words_of(mpirun_command(program({}), here, "")) == "mpirun --enable-recovery -np 9 --oversubscribe --bind-to none ./app input.dat");
  CHECK(words_of(mpirun_command(program(7), here, "")) == "mpirun --enable-recovery -np 8 ./app input.dat");
}

TEST_CASE("an allocation says how many ranks there are, and where", "[cli]") {
  const Surroundings here{2, false, "Slurm"};
  CHECK(words_of(mpirun_command(program({}), here, "")) == "mpirun --enable-recovery ./app input.dat");
  CHECK(words_of(mpirun_command(program(64), here, "")) == "mpirun --enable-recovery -np 65 ./app input.dat");
}

TEST_CASE("what the environment of the ranks has besides", "[cli]") {
  const Command command = mpirun_command(program(1), {8, true, ""}, "/tmp/exit file");
  CHECK(words_of(command) == "mpirun --enable-recovery -np 2 -x RANKVIEW_EXIT_FILE ./app input.dat");
  CHECK(has(command, "RANKVIEW_EXIT_FILE", "/tmp/exit file"));
  CHECK(has(command, "OMPI_MCA_async_mpi_finalize", "1"));
  CHECK(has(command, "OMPI_ALLOW_RUN_AS_ROOT", "1"));
  CHECK_FALSE(has(mpirun_command(program(1), {8, false, ""}, ""), "OMPI_ALLOW_RUN_AS_ROOT", "1"));
}

TEST_CASE("further arguments stand before the program", "[cli]") {
  Wanted wanted = program(1);
  wanted.mpirun = {"--host", "a,b"};
  CHECK(words_of(mpirun_command(wanted, {8, false, ""}, "")) == "mpirun --enable-recovery -np 2 --host a,b ./app input.dat");
}

TEST_CASE("a command can be typed into a shell", "[cli]") {
  const Command command{{"./app", "two words", "it's", "", "$HOME", "a=b,c:d"}, {{"NAME", "a value"}, {"PLAIN", "1"}}};
  CHECK(to_string(command) == R"(NAME='a value' PLAIN=1 ./app 'two words' 'it'\''s' '' '$HOME' a=b,c:d)");
}

TEST_CASE("the allocation of a batch system is told by its variables", "[cli]") {
  const Environment slurm("SLURM_JOB_ID", nullptr);
  const Environment pbs("PBS_JOBID", nullptr);
  const Environment grid_engine("PE_HOSTFILE", nullptr);
  const Environment lsf("LSB_JOBID", nullptr);
  CHECK(look_around().allocation.empty());
  CHECK(look_around().cores >= 1);
  const Environment job("PBS_JOBID", "17");
  CHECK(look_around().allocation == "PBS");
}

TEST_CASE("an exit file says how rank 0 fares", "[cli]") {
  std::filesystem::path path;
  {
    const ExitFile file;
    path = file.path();
    CHECK(std::filesystem::exists(path));
    CHECK_FALSE(file.started());
    CHECK_FALSE(file.code());
    std::ofstream(path) << "started";
    CHECK(file.started());
    CHECK_FALSE(file.code());
    std::ofstream(path) << "started 7\n";
    CHECK(file.code() == 7);
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("the exit code is that of rank 0, where it is known", "[cli]") {
  const ExitFile file;
  SECTION("nobody has said how rank 0 fares") {
    CHECK(run("exit 3", file) == 3);
    CHECK(run("kill -KILL $$", file) == 128 + SIGKILL);
  }
  SECTION("it has left, and mpirun says otherwise") { CHECK(run("echo started 7 >$FILE; exit 1", file) == 7); }
  SECTION("it began and has not left, and mpirun says that all is well") { CHECK(run("echo started >$FILE; exit 0", file) == 1); }
  SECTION("the environment goes along, and does not replace what is there") {
    const Environment there("RANKVIEW_TEST_THERE", "before");
    const Environment fresh("RANKVIEW_TEST_FRESH", nullptr);
    const Signals as_before;
    const std::string script = "test $RANKVIEW_TEST_THERE.$RANKVIEW_TEST_FRESH = before.new";
    CHECK(run_to_its_end({{"sh", "-c", script}, {{"RANKVIEW_TEST_THERE", "new"}, {"RANKVIEW_TEST_FRESH", "new"}}}, file) == 0);
  }
}

TEST_CASE("signals are passed on", "[cli]") {
  const ExitFile file;
  // The shell sends one to who started it, which is this.
  CHECK(run("trap 'exit 9' USR1; kill -USR1 $PPID; while :; do sleep 0.02; done", file) == 9);
}

TEST_CASE("there is no such command", "[cli]") {
  const Signals as_before;
  const ExitFile file;
  CHECK_THROWS_AS(run_to_its_end({{"/nowhere/mpirun"}, {}}, file), std::system_error);
}
