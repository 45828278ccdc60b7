// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cli/submit.hpp"

#include "launch/quoted.hpp"
#include "submit/campaign.hpp"
#include "submit/queue.hpp"
#include "submit/script.hpp"

#include <rankview/errors.hpp>

#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <ostream>
#include <string_view>
#include <system_error>
#include <utility>

namespace rankview::cli {
namespace {

using submit::BatchSystem;
using submit::Campaign;
using submit::Event;

// Of a campaign that is rehearsed here, without a batch system.
constexpr const char* here = "here";

BatchSystem system_named(const std::string& name) {
  for (const auto& [known, system] : submit::batch_systems) {
    if (name == known) return system;
  }
  throw UsageError("\"" + name + "\" is no batch system that is known: slurm, pbs, torque, sge or lsf");
}

BatchSystem system_for(const SubmitWish& wish, const submit::Commands& commands) {
  if (!wish.system.empty()) return system_named(wish.system);
  const auto found = submit::find_batch_system([&commands](const std::string& name) { return commands.has(name); });
  if (found) return *found;
  // What is not handed in can be looked at, all the same.
  if (wish.dry_run || !wish.fake_walltime.empty()) return BatchSystem::slurm;
  throw UsageError(
      "there is no batch system here: neither sbatch, qsub nor bsub is in PATH; --dry-run --scheduler NAME prints a script for another "
      "machine");
}

// A command of our own starts what it needs; everything else is started on engines.
bool starts_itself(const std::vector<std::string>& program) {
  const std::string name = std::filesystem::path(program.front()).filename().string();
  return name == "rankview" || name == "mpirun" || name == "mpiexec" || name == "srun";
}

std::vector<std::string> command_of(const SubmitWish& wish, const SubmitPlace& place) {
  std::vector<std::string> command = wish.program;
  if (starts_itself(wish.program)) {
    if (command.front() == "rankview") command.front() = place.rankview;
    return command;
  }
  std::vector<std::string> before{place.rankview, "run"};
  if (wish.resources.engines != 0) before.insert(before.end(), {"-n", std::to_string(wish.resources.engines)});
  before.emplace_back("--");
  command.insert(command.begin(), before.begin(), before.end());
  return command;
}

// Of a command that has no shape of its own: one rank on each node, which runs many.
void complete(SubmitWish& wish) {
  submit::Resources& resources = wish.resources;
  if (!wish.time.empty()) resources.time = submit::parse_time(wish.time);
  if (!wish.memory.empty()) resources.memory = submit::parse_memory(wish.memory);
  if (!wish.memory_per_core.empty()) resources.memory_per_core = submit::parse_memory(wish.memory_per_core);
  const bool farm = wish.program.size() > 1 && starts_itself(wish.program) && wish.program[1] == "farm";
  if (farm && resources.engines == 0) {
    if (resources.nodes == 0) resources.nodes = 1;
    if (resources.per_node == 0) resources.per_node = 1;
  }
  if (resources.name.empty()) {
    const std::string& program = wish.program.empty() ? std::string("shell") : wish.program[farm ? 1 : 0];
    resources.name = std::filesystem::path(program).stem().string();
  }
  if (resources.name.empty() || resources.name.find('/') != std::string::npos || resources.name.front() == '.')
    throw UsageError("\"" + resources.name + "\" cannot be the name of a job, since a directory is named after it");
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file) throw UsageError("the template " + path + " cannot be read");
  return text;
}

// Each job its own file there: the number comes in by the batch system's own sign; where it has none, the job opens its file itself, and
// this one has what the batch system says.
std::string output_of(BatchSystem system, const std::filesystem::path& campaign) {
  const std::string base = (campaign / "output").string();
  switch (system) {
    case BatchSystem::slurm:
      return base + ".%j";
    case BatchSystem::lsf:
      return base + ".%J";
    case BatchSystem::sge:
      return base + ".$JOB_ID";
    default:
      return base;
  }
}

std::string script_for(BatchSystem system, const SubmitWish& wish, const SubmitPlace& place, const std::filesystem::path& campaign) {
  submit::ScriptTerms terms;
  terms.system = system;
  submit::Resources resources = wish.resources;
  if (resources.output.empty()) resources.output = output_of(system, campaign);
  terms.directives = submit::directives(system, resources);
  terms.added = wish.added;
  terms.skipped = wish.skipped;
  terms.made_by = place.made_by;
  terms.directory = place.directory.string();
  terms.rankview = place.rankview;
  terms.campaign = campaign.string();
  terms.walltime = wish.fake_walltime.empty() ? resources.time : submit::parse_time(wish.fake_walltime);
  const bool unnumbered = system == BatchSystem::pbs || system == BatchSystem::torque;
  if (unnumbered && wish.resources.output.empty() && wish.fake_walltime.empty()) terms.output = (campaign / "output").string();
  terms.command = command_of(wish, place);
  return submit::script(terms, wish.script_template.empty() ? submit::template_of_script() : read_file(wish.script_template));
}

std::filesystem::path campaigns_of(const SubmitPlace& place) { return place.directory / ".rankview"; }

Event event(Event::Kind kind, const std::string& job, const SubmitPlace& place) {
  Event event;
  event.time = place.now();
  event.kind = kind;
  event.job = job;
  return event;
}

// Which job this is, by what the batch system has set; empty if it has not.
std::string own_job() {
  for (const char* const name : {"RANKVIEW_REHEARSAL", "SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID"}) {
    const char* const id = std::getenv(name);
    if (id != nullptr && *id != '\0') return id;
  }
  return {};
}

// How many tasks the job has done, as rank 0 has written it down; nothing if it has not.
std::optional<std::uint64_t> take_tally() {
  const char* const name = std::getenv("RANKVIEW_TALLY");
  if (name == nullptr) return std::nullopt;
  std::ifstream file(name);
  std::uint64_t all = 0;
  bool any = false;
  for (std::uint64_t done = 0; file >> done; any = true) all += done;
  std::error_code ignored;
  std::filesystem::remove(name, ignored);
  if (!any) return std::nullopt;
  return all;
}

void hand_in(const Campaign& campaign, BatchSystem system, const SubmitPlace& place, submit::Commands& commands, std::ostream& out) {
  const std::string id = submit::Queue(system, commands).submit(read_file(campaign.script().string()), campaign.script().string());
  campaign.add(event(Event::Kind::submitted, id, place));
  out << "submitted job " << id << " (" << to_string(system) << "), campaign " << campaign.name() << "\n";
}

// Runs the script here until it does not want to be started again, as a batch system would.
int rehearse(const Campaign& campaign, std::ostream& out) {
  for (int round = 1;; ++round) {
    const std::string job = std::to_string(round);
    ::setenv("RANKVIEW_REHEARSAL", job.c_str(), 1);
    out << "allocation " << round << ":" << std::endl;
    const int status = std::system(("/bin/bash " + launch::quoted(campaign.script().string())).c_str());
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    std::string ignored;
    if (code != Campaign::requeue_code || !campaign.goes_on(job, ignored)) return code;
  }
}

// In place of this process.
int become(const std::vector<std::string>& words) {
  std::vector<std::string> copies = words;
  std::vector<char*> arguments;
  for (std::string& word : copies) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  throw std::system_error(errno, std::generic_category(), words.front());
}

int open_shell(BatchSystem system, const SubmitWish& wish, std::ostream& out) {
  const char* const shell = std::getenv("SHELL");
  auto command = submit::interactive_command(system, submit::directives(system, wish.resources), shell == nullptr ? "/bin/bash" : shell);
  command.insert(command.end() - (system == BatchSystem::lsf ? 1 : 0), wish.added.begin(), wish.added.end());
  if (!wish.dry_run) return become(command);
  out << launch::quoted(command) << "\n";
  return 0;
}

}  // namespace

int submit_job(SubmitWish wish, const SubmitPlace& place, submit::Commands& commands, std::ostream& out) {
  if (wish.program.empty() && !wish.interactive)
    throw UsageError("which program? For example: rankview submit -n 64 --time 2:00:00 -- ./app input.dat");
  complete(wish);
  const BatchSystem system = system_for(wish, commands);
  if (wish.interactive) return open_shell(system, wish, out);
  if (wish.dry_run) {
    out << script_for(system, wish, place, campaigns_of(place) / wish.resources.name);
    return 0;
  }
  // What cannot be said is found out before anything is there.
  static_cast<void>(script_for(system, wish, place, campaigns_of(place) / wish.resources.name));
  const bool rehearsal = !wish.fake_walltime.empty();
  const Campaign campaign =
      Campaign::create(campaigns_of(place), wish.resources.name, {rehearsal ? here : to_string(system), wish.until_done});
  campaign.write_script(script_for(system, wish, place, campaign.directory()));
  if (rehearsal) return rehearse(campaign, out);
  for (int job = 0; job < wish.jobs; ++job) hand_in(campaign, system, place, commands, out);
  out << "output goes to " << (wish.resources.output.empty() ? campaign.directory().string() : wish.resources.output)
      << "; rankview jobs shows how it goes\n";
  return 0;
}

int note_job(const std::filesystem::path& directory, const std::string& what, int code, const SubmitPlace& place,
             submit::Commands& commands, std::ostream& out) {
  const Campaign campaign = Campaign::open(directory);
  const std::string job = own_job();
  if (what == "started") {
    Event started = event(Event::Kind::started, job, place);
    std::array<char, 256> host{};
    if (::gethostname(host.data(), host.size() - 1) == 0) started.host = host.data();
    campaign.add(started);
    return 0;
  }
  if (what != "ended") throw UsageError("a job can have started or ended, and not " + what);
  Event ended = event(Event::Kind::ended, job, place);
  ended.code = code;
  ended.done = take_tally();
  campaign.add(ended);
  if (code != Campaign::requeue_code) return 0;
  std::string why_not;
  if (campaign.goes_on(job, why_not)) {
    if (campaign.terms().system != here) hand_in(campaign, system_named(campaign.terms().system), place, commands, out);
    return 0;
  }
  if (why_not.empty()) return 0;
  campaign.add(event(Event::Kind::given_up, job, place));
  out << "rankview: " << why_not << "\n";
  return 0;
}

}  // namespace rankview::cli
