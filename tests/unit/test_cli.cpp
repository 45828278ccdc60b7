// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cli/launch.hpp"
#include "cli/mpirun.hpp"
#include "cli/remote_shell.hpp"
#include "environment.hpp"
#include "support.hpp"

#include <unistd.h>
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

TEST_CASE("on hosts that are named there are as many ranks as slots", "[cli]") {
  Wanted wanted = program({});
  wanted.mpirun = {"--hostfile", "hosts"};
  CHECK(words_of(mpirun_command(wanted, {2, false, ""}, "")) == "mpirun --enable-recovery --hostfile hosts ./app input.dat");
  wanted.engines = 100;
  CHECK(words_of(mpirun_command(wanted, {2, false, ""}, "")) == "mpirun --enable-recovery -np 101 --hostfile hosts ./app input.dat");
}

TEST_CASE("other hosts are reached by a shell that keeps their loss from mpirun", "[cli]") {
  Wanted wanted = program(1);
  wanted.mpirun = {"--host", "a,b"};
  Surroundings here{8, false, "", "/opt/bin/rankview", "ssh -F config"};
  const Command command = mpirun_command(wanted, here, "");
  CHECK(words_of(command) ==
        "mpirun --enable-recovery -np 2 --mca plm_rsh_no_tree_spawn 1 --mca plm_rsh_agent /opt/bin/rankview remote-shell --host a,b ./app "
        "input.dat");
  CHECK(has(command, "RANKVIEW_REMOTE_SHELL", "ssh -F config"));
  // These have means of their own.
  here.allocation = "Slurm";
  CHECK(words_of(mpirun_command(wanted, here, "")) == "mpirun --enable-recovery -np 2 --host a,b ./app input.dat");
  here.allocation = "PBS";
  CHECK_FALSE(words_of(mpirun_command(program(1), here, "")).find("plm_rsh_agent") == std::string::npos);
  here.allocation = "";
  CHECK(words_of(mpirun_command(program(1), here, "")) == "mpirun --enable-recovery -np 2 ./app input.dat");
}

TEST_CASE("a remote shell is given options, the host and one command", "[cli]") {
  using Words = std::vector<std::string>;
  CHECK(remote_command("ssh -x", {"-p", "-q", "h1", "orted", "-mca", "x", "\"y z\""}) ==
        Words{"ssh", "-x", "-p", "-q", "h1", std::string("echo ") + host_reached + "; orted -mca x \"y z\""});
  CHECK(remote_command("ssh", {}) == Words{"ssh"});
}

TEST_CASE("a connection that is lost is no failure, and a host that was not reached is", "[cli]") {
  CHECK(code_for_mpirun(255, true) == 0);
  CHECK(code_for_mpirun(128 + SIGKILL, true) == 0);
  CHECK(code_for_mpirun(255, false) == 255);
  CHECK(code_for_mpirun(127, true) == 127);
  CHECK(code_for_mpirun(0, true) == 0);
  const auto script = std::filesystem::temp_directory_path() / ("rankview-shell-" + std::to_string(getpid()));
  // As ssh, which loses the connection in the end, or does not find the host.
  std::ofstream(script) << "test $1 != nowhere || exit 255; shift; eval \"$*\"; code=$?; test $code != 3 || exit 255; exit $code\n";
  const std::string shell = "sh " + script.string();
  CHECK(run_remote_shell(shell, {"h1", "exit", "3"}) == 3);
  CHECK(run_remote_shell(shell, {"h1", "sh", "-c", "'exit 3'"}) == 0);
  CHECK(run_remote_shell(shell, {"h1", "sh", "-c", "'exit 4'"}) == 4);
  CHECK(run_remote_shell(shell, {"nowhere", "true"}) == 255);
  CHECK(run_remote_shell("false", {"h1", "true"}) == 1);
  CHECK(run_remote_shell("/nowhere/ssh", {"h1", "true"}) == 127);
  std::filesystem::remove(script);
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
