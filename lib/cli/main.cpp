// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// The command `rankview`.
#include "checkpoint/disk.hpp"
#include "cli/checkpoint.hpp"
#include "cli/doctor.hpp"
#include "cli/farm.hpp"
#include "cli/launch.hpp"
#include "cli/log.hpp"
#include "cli/mpirun.hpp"
#include "cli/remote_shell.hpp"
#include "cli/submit_commands.hpp"

#include <rankview/errors.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace cli = rankview::cli;

// What GNU parallel leaves with when something is wrong with it, and not with the commands.
constexpr int farm_failed = 255;
// All the others then.
constexpr int misused = 2;

// rankview run: starts a program under mpirun so that it survives the death of engines.
class Run {
 public:
  explicit Run(CLI::App& app) {
    command_ = app.add_subcommand("run", "Starts a program on engines and rank 0, with what mpirun needs here");
    command_
        ->add_option("-n,--engines", engines_,
                     "How many engines, rank 0 not counted; as many as there are cores, or slots on the hosts, if not given")
        ->check(CLI::Range(1, 1'000'000));
    command_->add_option("-H,--host", hosts_, "Hosts and their slots, as in node1:9,node2:8; not in an allocation, whose hosts are taken")
        ->type_name("HOSTS");
    command_->add_option("--hostfile", hostfile_, "The same in a file: a line each, as in node1 slots=9")
        ->type_name("FILE")
        ->excludes("--host");
    command_
        ->add_option("--mpirun", wanted_.mpirun,
                     "A further argument for mpirun; may be given several times, as in --mpirun=--map-by --mpirun=node")
        ->take_all()
        ->allow_extra_args(false);
    command_->add_flag("--print", prints_, "Prints the command instead of running it");
    command_->prefix_command();
    command_->footer(
        "The program and its arguments come last: rankview run -n 4 ./app input.dat\n"
        "When an engine dies, or a host, the others go on, and the tasks that it had are run by them. The exit code is the program's own,\n"
        "which mpirun alone does not give in that case.");
  }

  [[nodiscard]] bool chosen() const { return command_->parsed(); }
  // What stands at --, and behind it, at which CLI11 is not to look.
  std::vector<std::string>& behind() { return behind_; }

  int operator()() {
    wanted_.program = cli::program_of(command_->remaining(), behind_);
    if (engines_ != 0) wanted_.engines = engines_;
    for (const auto& [option, value] : {std::pair{"--host", &hosts_}, std::pair{"--hostfile", &hostfile_}}) {
      if (!value->empty()) wanted_.mpirun.insert(wanted_.mpirun.begin(), {option, *value});
    }
    if (wanted_.program.empty()) {
      std::fputs("rankview run: which program? For example: rankview run -n 4 ./app\n", stderr);
      return misused;
    }
    const cli::Surroundings here = cli::look_around();
    if (prints_) {
      std::puts(cli::to_string(cli::mpirun_command(wanted_, here, "")).c_str());
      return 0;
    }
    const cli::ExitFile exit_file;
    return cli::run_to_its_end(cli::mpirun_command(wanted_, here, exit_file.path().string()), exit_file);
  }

 private:
  CLI::App* command_;
  std::vector<std::string> behind_;
  cli::Wanted wanted_;
  std::string hosts_;
  std::string hostfile_;
  int engines_ = 0;
  bool prints_ = false;
};

// rankview farm: runs shell commands.
class Farm {
 public:
  explicit Farm(CLI::App& app) {
    command_ = app.add_subcommand("farm", "Runs shell commands side by side, those of a file or made from arguments");
    command_->add_option("TASKS", tasks_, "A file of commands, a line each, or of arguments; without: standard input")->type_name("");
    command_->add_option("-a,--arg-file", wish_.files, "The same; several are combined")
        ->type_name("FILE")
        ->take_all()
        ->allow_extra_args(false);
    command_->add_option("-j,--jobs,-P,--max-procs", wish_.jobs,
                         "How many at a time: N, +N, -N or N% of the cores; 0: as many as possible");
    command_->add_flag("-k,--keep-order", wish_.keep_order, "Prints output in the order of the input");
    command_->add_flag("--tag", wish_.tag, "Prints the arguments before each line of output");
    command_->add_option("--tagstring", wish_.tagstring, "Prints this before each line, as in 'task {#}'");
    command_->add_flag("-u,--ungroup", wish_.ungroup, "Does not collect output");
    command_->add_option("--results", wish_.results, "Keeps output in files below this directory")->type_name("DIR");
    command_->add_flag("--dry-run", wish_.dry_run, "Prints commands, and runs none");
    command_->add_option("--joblog", wish_.joblog, "Writes a line for each command that has ended; +FILE adds to it")->type_name("FILE");
    command_->add_option("--checkpoint", wish_.checkpoint, "Keeps what is done, for --resume")->type_name("DIR");
    command_->add_flag("--resume", wish_.resume, "Leaves out what was run, by --checkpoint or --joblog");
    command_->add_flag("--resume-failed", wish_.resume_failed, "Leaves out what has succeeded");
    command_->add_flag("--failed", wish_.failed, "Runs only what has failed");
    command_->add_flag("--explain", wish_.explain, "Says why each command runs, and how many are left out");
    command_
        ->add_option("--cores", wish_.cores, "Cores of each command; a line can say it itself, behind #rv: cores=4 memory=2G timeout=1h")
        ->type_name("N");
    command_->add_option("--memory", wish_.memory, "Memory of each; one that has more is killed")->type_name("SIZE");
    command_->add_option("--memory-growth", wish_.memory_growth, "So many times that when it is tried again")->type_name("X");
    command_->add_option("--gpus", wish_.gpus, "GPUs of each")->type_name("N");
    command_->add_option("--retries", wish_.retries, "How often a command that fails is tried")->type_name("N");
    command_->add_option("--timeout", wish_.timeout, "How long one may run: 10, 90m, or 300% of the median");
    command_->add_option("--halt", wish_.halt, "Ends it all early: now,fail=1 soon,fail=3 now,success=1 soon,done=9");
    command_->add_option("--delay", wish_.delay, "Time between two starts");
    command_->add_option("-C,--colsep", wish_.colsep, "Splits arguments into columns {1} {2}, at this text, \\t or \\s+");
    command_->add_option("-d,--delimiter", wish_.delimiter, "What ends an argument in a file, instead of a newline");
    command_->add_flag("-0,--null", wish_.null, "NUL ends it");
    command_->add_flag("-r,--no-run-if-empty", wish_.no_run_if_empty, "Leaves out arguments that are blank");
    command_->add_option("--shell", wish_.shell, "Runs every command by this shell, instead of /bin/sh where needed");
    command_->add_option("--tmpdir", wish_.tmpdir, "Where output waits, instead of $TMPDIR or /tmp")->type_name("DIR");
    command_->footer(
        "rankview farm -j4 --joblog log tasks.txt\n"
        "rankview farm --tag -- gzip -k {} ::: *.dat        {} {.} {/} {//} {/.} {1} {#} {%} as in GNU parallel\n"
        "The exit code is how many commands have failed, 101 for more than 100.");
  }

  [[nodiscard]] bool chosen() const { return command_->parsed(); }
  // What CLI11 is not to look at.
  cli::FarmWish& wish() { return wish_; }

  int operator()(int argc, char** argv) {
    if (tasks_.size() > 1)
      throw rankview::UsageError(
          "one file of commands is enough; a command and its arguments go behind --: rankview farm -- echo {} ::: a b");
    wish_.files.insert(wish_.files.begin(), tasks_.begin(), tasks_.end());
    if (cli::is_part_of_mpi_program()) return cli::run_farm_on_engines(wish_, argc, argv);
    // One that only prints needs no engines.
    const int hosts = wish_.dry_run ? 1 : cli::hosts_of_allocation();
    return hosts == 1 ? cli::run_farm(wish_) : start_on(hosts, argc, argv);
  }

 private:
  // The same again, on an engine for each host.
  static int start_on(int hosts, int argc, char** argv) {
    cli::Wanted wanted;
    wanted.engines = hosts;
    wanted.mpirun = {"--map-by", "node", "--bind-to", "none", "--oversubscribe"};
    wanted.program = {std::filesystem::read_symlink("/proc/self/exe").string()};
    wanted.program.insert(wanted.program.end(), argv + 1, argv + argc);
    const cli::ExitFile exit_file;
    return cli::run_to_its_end(cli::mpirun_command(wanted, cli::look_around(), exit_file.path().string()), exit_file);
  }

  CLI::App* command_;
  std::vector<std::string> tasks_;
  cli::FarmWish wish_;
};

// rankview checkpoint: looks into a directory of results that are kept, and tidies it.
class Checkpoint {
 public:
  explicit Checkpoint(CLI::App& app) {
    command_ = app.add_subcommand("checkpoint", "Looks into a checkpoint: what is kept, whether it can be read; and tidies it");
    command_->add_option("DIR", wish_.directory, "The directory that Flags::checkpoint names")->required();
    wish_.action = "list";
    command_->add_option("ACTION", wish_.action, "list (if not given), verify, compact or forget")
        ->check(CLI::IsMember({"list", "verify", "compact", "forget"}));
    command_->add_option("KEY", wish_.key, "With forget: the key of a task, or as much of its beginning as no other has");
    command_->add_flag("--failed", wish_.failed, "list: only tasks that have failed");
    command_->add_flag("--json", wish_.json, "Prints JSON: of list and verify an array, an object a line");
    command_->footer(
        "list     what is finished: its key, when, by which job, how long the result is or how the task failed, what was called\n"
        "verify   reads all of it, and says what is damaged and where; then the exit code is 1\n"
        "compact  makes one journal of all, with each task once; only while no job uses the directory\n"
        "forget   does away with one task, which the next job does again; only while no job uses the directory");
  }

  [[nodiscard]] bool chosen() const { return command_->parsed(); }

  int operator()() { return cli::look_after_checkpoint(wish_, rankview::checkpoint::posix_disk(), std::cout, std::cerr); }

 private:
  CLI::App* command_;
  cli::CheckpointWish wish_;
};

// rankview log: shows what commands of a farm have written.
class Log {
 public:
  explicit Log(CLI::App& app) {
    command_ = app.add_subcommand("log", "Shows what the commands of a farm have written, as its checkpoint keeps it");
    command_->add_option("DIR", wish_.directory, "The directory that rankview farm --checkpoint named")->required();
    command_->add_option("NUMBER", wish_.numbers, "Commands, by their numbers in the list; without, a line of each");
    command_->add_flag("--failed", wish_.failed, "Only those that have failed");
    command_->add_flag("-p,--print", wish_.print, "What they have written, instead of lines");
    command_->footer(
        "rankview log kept 4711        what command 4711 wrote, to stdout and stderr, when it was run last\n"
        "rankview log kept --failed    those that have failed, a line each");
  }

  [[nodiscard]] bool chosen() const { return command_->parsed(); }

  int operator()() {
    rankview::farm::DescriptorSink out(1);
    rankview::farm::DescriptorSink err(2);
    return cli::show_log(wish_, out, err);
  }

 private:
  CLI::App* command_;
  cli::LogWish wish_;
};

// rankview doctor: says what is here, and what to do about it.
class Doctor {
 public:
  explicit Doctor(CLI::App& app) {
    command_ = app.add_subcommand("doctor", "Says what MPI, memory, limits, compilers and batch systems are here, and what to do about it");
    command_->add_option("-n,--engines", wish_.engines, "Starts so many, and measures messages, tasks and clocks as well")
        ->check(CLI::Range(1, 1'000'000));
    command_->add_flag("--pairs", wish_.pairs, "With -n: how fast data goes between any two engines");
    command_->add_flag("--json", wish_.json, "Prints a JSON array, an object a line");
    command_->footer("rankview doctor -n 4 --pairs\nThe exit code is 1 if something does not work.");
  }

  [[nodiscard]] bool chosen() const { return command_->parsed(); }

  int operator()(int argc, char** argv) { return cli::run_doctor(wish_, argc, argv); }

 private:
  CLI::App* command_;
  cli::DoctorWish wish_;
};

// Takes off what stands at the first --, and behind it, if the command is one of those that start a program.
std::vector<std::string> take_behind_dashes(std::vector<std::string>& words) {
  auto command = words.begin();
  while (command != words.end() && command->rfind("--config", 0) == 0)
    command += *command == "--config" && words.end() - command > 1 ? 2 : 1;
  if (command == words.end() || (*command != "run" && *command != "submit")) return {};
  const auto dashes = std::find(command, words.end(), "--");
  if (dashes == words.end()) return {};
  std::vector<std::string> behind(dashes, words.end());
  words.erase(dashes, words.end());
  return behind;
}

// What mpirun_command() has mpirun call.
int remote_shell(const std::vector<std::string>& words) {
  const char* const shell = std::getenv("RANKVIEW_REMOTE_SHELL");
  return cli::run_remote_shell(shell != nullptr ? shell : "ssh -x", {words.begin() + 1, words.end()});
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Views, engines and load balancing over MPI", "rankview");
  app.require_subcommand(1);
  Run run(app);
  Farm farm(app);
  Checkpoint checkpoint(app);
  Log log(app);
  Doctor doctor(app);
  cli::SubmitCommands submit(app);
  std::vector<std::string> words(argv + 1, argv + argc);
  const bool is_farm = !words.empty() && words.front() == "farm";
  const auto all = app.get_subcommands([](const CLI::App*) { return true; });
  const auto is_first = [&words](const CLI::App* command) { return command->get_name() == words.front(); };
  if (!words.empty() && words.front().rfind('-', 0) != 0 && words.front() != "remote-shell" &&
      std::none_of(all.begin(), all.end(), is_first)) {
    std::fprintf(stderr, "rankview: there is no command %s; rankview --help lists those that there are\n", words.front().c_str());
    return misused;
  }
  try {
    if (words.size() > 1 && words.front() == "remote-shell") return remote_shell(words);
    if (is_farm) {
      cli::split_farm_words(words, farm.wish());
      cli::refuse_unoffered(words);
    }
    run.behind() = submit.behind() = take_behind_dashes(words);
    // As CLI11 wants them.
    std::reverse(words.begin(), words.end());
    try {
      app.parse(words);
    } catch (const CLI::ParseError& error) {
      if (app.exit(error) == 0) return 0;
      return is_farm ? farm_failed : misused;
    }
    if (farm.chosen()) return farm(argc, argv);
    if (submit.chosen()) return submit(argc, argv);
    if (log.chosen()) return log();
    if (doctor.chosen()) return doctor(argc, argv);
    return checkpoint.chosen() ? checkpoint() : run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rankview: %s\n", error.what());
    return is_farm ? farm_failed : 1;
  }
}
