// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cli/submit_commands.hpp"

#include "cli/mpirun.hpp"
#include "launch/quoted.hpp"

#include <CLI/CLI.hpp>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <vector>

namespace rankview::cli {
namespace {

// Where options are that nobody wants to type twice.
std::string config_file() {
  if (const char* const file = std::getenv("RANKVIEW_CONFIG")) return file;
  if (const char* const home = std::getenv("XDG_CONFIG_HOME")) return std::string(home) + "/rankview/config.toml";
  const char* const home = std::getenv("HOME");
  return home == nullptr ? "" : std::string(home) + "/.config/rankview/config.toml";
}

CLI::Range at_least_one() { return {1, 1'000'000}; }

SubmitPlace this_place(int argc, char** argv) {
  SubmitPlace place;
  place.directory = std::filesystem::current_path();
  place.rankview = std::filesystem::read_symlink("/proc/self/exe").string();
  place.made_by = launch::quoted(std::vector<std::string>(argv, argv + argc));
  place.now = [] { return static_cast<std::int64_t>(std::time(nullptr)); };
  return place;
}

}  // namespace

SubmitCommands::~SubmitCommands() = default;

SubmitCommands::SubmitCommands(CLI::App& app) {
  add_submit(app);
  jobs_ = app.add_subcommand("jobs", "Lists what was submitted from this directory, and how it fares");
  jobs_->add_option("CAMPAIGN", which_, "Only this one");
  jobs_->add_flag("--json", json_, "Prints JSON: an array, an object a line");
  cancel_ = app.add_subcommand("cancel", "Cancels what was submitted from this directory");
  cancel_->add_option("WHICH", which_, "A campaign's name, or a job's id")->required();
  note_ = app.add_subcommand("note", "What a script of rankview submit calls")->group("");
  note_->add_option("CAMPAIGN", which_)->required();
  note_->add_option("WHAT", noted_)->required();
  note_->add_option("CODE", code_);
  const std::string file = config_file();
  // A word that means nothing there is a slip.
  app.allow_config_extras(CLI::config_extras_mode::error);
  submit_->allow_config_extras(CLI::config_extras_mode::error);
  app.set_config("--config", file, "A TOML file with options, such as account = \"physics\" below [submit]");
}

void SubmitCommands::add_submit(CLI::App& app) {
  submit_ = app.add_subcommand("submit", "Writes a job script for the batch system that is here, and submits it");
  submit::Resources& wanted = wish_.resources;
  submit_->add_option("-n,--engines", wanted.engines, "Engines; a rank more is asked for, which is the client")->check(at_least_one());
  submit_->add_option("-N,--nodes", wanted.nodes, "Nodes")->check(at_least_one());
  submit_->add_option("--per-node", wanted.per_node, "Ranks on each node")->check(at_least_one());
  submit_->add_option("--cores", wanted.cores, "Cores for each rank")->check(at_least_one());
  submit_->add_option("--memory", wish_.memory, "Memory on each node, as in 64G");
  submit_->add_option("--memory-per-core", wish_.memory_per_core, "Memory for each core, as in 2G");
  submit_->add_option("--gpus", wanted.gpus, "GPUs on each node")->check(at_least_one());
  submit_->add_option("-t,--time", wish_.time, "How long: 2:00:00, 1-12:00:00, 90m or 2d");
  submit_->add_option("-q,--queue,-p,--partition", wanted.queue, "Where to wait");
  submit_->add_option("-A,--account", wanted.account, "Who pays");
  submit_->add_option("--name", wanted.name, "The job's name; the program's if not given");
  submit_->add_option("-o,--output", wanted.output, "Where its output goes");
  submit_->add_option("--mail", wanted.mail, "Whom to tell of the end");
  submit_->add_flag("--exclusive", wanted.exclusive, "Nobody else on the nodes");
  submit_->add_option("--pe", wanted.parallel_environment, "Grid Engine: the parallel environment; mpi if not given");
  submit_->add_option("--scheduler", wish_.system, "slurm, pbs, torque, sge or lsf; the one that is here if not given");
  submit_->add_flag("--until-done", wish_.until_done, "Submits it again as long as it leaves with 75, which means that something is left");
  submit_->add_option("--jobs", wish_.jobs, "So many allocations, for a program with a checkpoint, which they share")
      ->check(at_least_one());
  submit_->add_option("--template", wish_.script_template, "A script of your own, with {directives} and {command} in it");
  submit_->add_option("--add", wish_.added, "A further line for the batch system; may be given several times, as in --add=--constraint=gpu")
      ->take_all()
      ->allow_extra_args(false);
  submit_->add_option("--skip", wish_.skipped, "Leaves out lines for the batch system that have this in them")
      ->take_all()
      ->allow_extra_args(false);
  submit_->add_option("--fake-walltime", wish_.fake_walltime,
                      "Rehearses: runs the script here, with this walltime, as often as it wants to");
  submit_->add_flag("--interactive", wish_.interactive, "An allocation with a shell in it, where rankview run takes its hosts");
  submit_->add_flag("--dry-run", wish_.dry_run, "Prints the script, or the command, and submits nothing");
  submit_->prefix_command();
  submit_->footer(
      "The program and its arguments come last: rankview submit -n 64 --time 2:00:00 -- ./app input.dat\n"
      "Or commands: rankview submit --nodes 4 --cores 32 --time 8h --until-done -- rankview farm --checkpoint done --resume tasks.txt");
}

bool SubmitCommands::chosen() const { return submit_->parsed() || jobs_->parsed() || cancel_->parsed() || note_->parsed(); }

int SubmitCommands::operator()(int argc, char** argv) {
  submit::PosixCommands commands;
  const SubmitPlace place = this_place(argc, argv);
  if (jobs_->parsed()) return list_jobs(which_, json_, place, commands, std::cout);
  if (cancel_->parsed()) return cancel_jobs(which_, place, commands, std::cout);
  if (note_->parsed()) return note_job(which_, noted_, code_, place, commands, std::cerr);
  wish_.program = program_of(submit_->remaining(), behind_);
  return submit_job(wish_, place, commands, std::cout);
}

}  // namespace rankview::cli
