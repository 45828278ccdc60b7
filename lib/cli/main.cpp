// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// The command `rankview`.
#include "checkpoint/disk.hpp"
#include "cli/checkpoint.hpp"
#include "cli/launch.hpp"
#include "cli/mpirun.hpp"
#include "cli/submit_commands.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

namespace {

namespace cli = rankview::cli;

// rankview run: starts a program under mpirun so that it survives the death of engines.
class Run {
 public:
  explicit Run(CLI::App& app) {
    command_ = app.add_subcommand("run", "Starts a program on engines and rank 0, with what mpirun needs here");
    command_
        ->add_option(
            "-n,--engines", engines_,
            "How many engines, rank 0 not counted; as many as there are cores, or slots in the allocation of a batch system, if not given")
        ->check(CLI::PositiveNumber);
    command_
        ->add_option("--mpirun", wanted_.mpirun,
                     "A further argument for mpirun; may be given several times, as in --mpirun=--host --mpirun=a,b")
        ->take_all()
        ->allow_extra_args(false);
    command_->add_flag("--print", prints_, "Prints the command instead of running it");
    command_->prefix_command();
    command_->footer(
        "The program and its arguments come last: rankview run -n 4 ./app input.dat\n"
        "When an engine dies, the others go on, and the tasks that it had are run by them. The exit code is the program's own,\n"
        "which mpirun alone does not give in that case.");
  }

  [[nodiscard]] bool chosen() const { return command_->parsed(); }
  // What stands behind --, at which CLI11 is not to look.
  std::vector<std::string>& program() { return wanted_.program; }

  int operator()() {
    if (wanted_.program.empty()) wanted_.program = command_->remaining();
    if (engines_ != 0) wanted_.engines = engines_;
    if (wanted_.program.empty()) {
      std::fputs("rankview run: which program? For example: rankview run -n 4 ./app\n", stderr);
      return 2;
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
  cli::Wanted wanted_;
  int engines_ = 0;
  bool prints_ = false;
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

// Takes off what stands behind the first --, if the command is one of those that start a program.
std::vector<std::string> take_program(std::vector<std::string>& words) {
  auto command = words.begin();
  while (command != words.end() && command->rfind("--config", 0) == 0)
    command += *command == "--config" && words.end() - command > 1 ? 2 : 1;
  if (command == words.end() || (*command != "run" && *command != "submit")) return {};
  const auto dashes = std::find(command, words.end(), "--");
  if (dashes == words.end()) return {};
  std::vector<std::string> program(dashes + 1, words.end());
  words.erase(dashes, words.end());
  return program;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Views, engines and load balancing over MPI", "rankview");
  app.require_subcommand(1);
  Run run(app);
  Checkpoint checkpoint(app);
  cli::SubmitCommands submit(app);
  std::vector<std::string> words(argv + 1, argv + argc);
  run.program() = submit.program() = take_program(words);
  // As CLI11 wants them.
  std::reverse(words.begin(), words.end());
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  try {
    if (submit.chosen()) return submit(argc, argv);
    return checkpoint.chosen() ? checkpoint() : run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rankview: %s\n", error.what());
    return 1;
  }
}
